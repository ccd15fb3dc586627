// Permits of a queue with a rate. A message waits for its permit's time, and returns the permit with its lateness. The rate counts when the
// provider sees a message. A quick provider has seen it before its answer. For others only the start is known; the time from there is assumed to
// vary by at most `unseen`.

import type { Executor } from '../db/executor.ts';
import {
  graceMs,
  lockPermits,
  makePermits,
  nextPermitIn,
  planRate,
  returnPermits,
  type Permit,
  type RatePlan,
  type Return,
} from '../queues/rate.ts';
import type { Rate } from '../queues/limits.ts';
import type { Clock, Interrupt, Milliseconds, Random } from '../ports.ts';
import { after, pause } from '../timer.ts';

export type BookedPermit = {
  /** Resolves when the permit's time has come. False: that time was missed, or the signal aborted. */
  come(signal: Interrupt): Promise<boolean>;
  /** Wraps the handover. */
  spend<T>(handover: Promise<T>): Promise<T>;
};

export type Booking = {
  readonly count: number;
  /** There were fewer permits than wanted; asking again pays only after this time. */
  readonly restMs: Milliseconds;
  /** Books the first `count`. */
  book(count: number): Promise<readonly BookedPermit[]>;
};

/** Books permits of one queue, in the transaction that claims. */
export type Permits = (tx: Executor, want: number) => Promise<Booking>;

export type PermitPorts = {
  readonly db: Executor;
  readonly clock: Clock;
  readonly random: Random;
  /** Receives errors of returning permits. Those become free after their grace period. */
  readonly onError: (error: unknown) => void;
};

const unseen: Milliseconds = 30;
/** Handovers after which the shortest one is trusted. */
const enough = 20;
/** How long to wait for the answer of a provider that can answer within `unseen`. */
const answerWithin: Milliseconds = 2_000;
/** A permit later than this is not used: it must be returned within its grace period. */
const missed: Milliseconds = graceMs - answerWithin - 1_000;

// oxlint-disable-next-line max-lines-per-function -- methods over the permits of one queue
export function createPermits(queue: string, plan: RatePlan, ports: PermitPorts): Permits {
  const { clock, random } = ports;
  const giveBack = createReturns(queue, plan, ports);
  let least: Milliseconds = Number.POSITIVE_INFINITY; // shortest recent handover
  let handovers = 0;
  let bookings = 0;
  let trip: Milliseconds = Number.POSITIVE_INFINITY; // shortest round trip to the database

  /** The first handovers open connections and say little. */
  const isQuick = (): boolean => least <= unseen || handovers < enough;

  function bookedOf(permit: Permit, slot: Milliseconds, notBefore: Milliseconds): BookedPermit {
    return {
      async come(signal) {
        for (let ms = notBefore - clock.now(); ms > 0 && !signal.aborted; ms = notBefore - clock.now())
          await pause(Math.ceil(ms), signal);
        const came = !signal.aborted && clock.now() - slot <= missed;
        if (!came) giveBack({ permit, late: null });
        return came;
      },
      async spend(handover) {
        const began = clock.now();
        const seen = settledWithin(isQuick() ? answerWithin : unseen, handover);
        void seen.then(() => giveBack({ permit, late: clock.now() - slot }));
        try {
          return await handover;
        } finally {
          const took = clock.now() - began;
          least = Math.min(took, least * 1.005);
          handovers++;
        }
      },
    };
  }

  /** Random, so that a fleet's workers do not all come back at once; short enough that every permit is booked in time. */
  async function rest(tx: Executor, got: number): Promise<Milliseconds> {
    const usually = (plan.horizonMs * (1 + random())) / 4;
    return got > 0 ? usually : Math.max(usually, await nextPermitIn(tx, queue, plan));
  }

  let made: Promise<void> | undefined;
  const make = (): Promise<void> => {
    made ??= makePermits(ports.db, queue, plan).catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };

  return async (tx, want) => {
    await make();
    const before = clock.now();
    const { slots, scarce, book } = await lockPermits(tx, queue, plan, want);
    const after = clock.now();
    trip = Math.min(trip, after - before);
    bookings++;
    // The database read its clock between `before` and `after`. A delivery starts no earlier than the latest possible reading allows; its lateness
    // counts from the earliest.
    const [slot, notBefore] = [before + (bookings < enough ? 0 : trip / 2), after];
    return {
      count: slots.length,
      restMs: scarce ? await rest(tx, slots.length) : 0,
      book: async (count) =>
        (await book(count)).map((permit) => bookedOf(permit, slot + permit.wait, notBefore + permit.wait)),
    };
  };
}

/** The permits of each queue, for as long as its rate stays the same. */
export function permitsOfQueues(ports: PermitPorts): (queue: string, rate: Rate) => Permits {
  const all = new Map<string, { readonly rate: string; readonly permits: Permits }>();
  return (queue, rate) => {
    const text = JSON.stringify([rate.limit, rate.ms, rate.burst]);
    let its = all.get(queue);
    if (its?.rate !== text)
      all.set(queue, (its = { rate: text, permits: createPermits(queue, planRate(rate), ports) }));
    return its.permits;
  };
}

/** Returns permits in batches: those that come while a statement runs go with the next one. */
function createReturns(queue: string, plan: RatePlan, { db, onError }: PermitPorts): (one: Return) => void {
  let waiting: Return[] = [];
  let running = false;
  async function send(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      await returnPermits(db, queue, plan, batch).catch(onError);
    }
    running = false;
  }
  return (one) => {
    waiting.push(one);
    if (!running) void send();
  };
}

/** Resolves when the time is over or the promise is settled, whichever comes first. */
async function settledWithin(ms: Milliseconds, promise: Promise<unknown>): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = after(ms, over.resolve);
  await Promise.race([Promise.allSettled([promise]), over.promise]);
  timer.stop();
}
