// Permits of a queue with a rate: a message waits for the time of its permit, and returns it with how late it was. The rate counts when the
// provider sees a message. A provider that answers quickly has seen it before its answer; of another only the start is known, and the time from
// there is taken to vary by no more than `unseen`.

import type { Executor } from '../db/executor.ts';
import {
  graceMs,
  lockPermits,
  nextPermitIn,
  returnPermits,
  type Permit,
  type RatePlan,
  type Return,
} from '../queues/rate.ts';
import type { Clock, Interrupt, Milliseconds, Random } from '../ports.ts';
import { after, pause } from '../timer.ts';

export type BookedPermit = {
  /** Resolves when the slot is there. False: it was missed, or the signal aborted. */
  come(signal: Interrupt): Promise<boolean>;
  /** Around the handover. */
  spend<T>(handover: Promise<T>): Promise<T>;
};

export type Booking = {
  readonly count: number;
  /** Not before this is it worth asking again: there were fewer than were asked for. */
  readonly restMs: Milliseconds;
  /** Keeps the first `count`. */
  book(count: number): Promise<readonly BookedPermit[]>;
};

/** Gives permits of one queue, in the transaction that claims. */
export type Permits = (tx: Executor, want: number) => Promise<Booking>;

export type PermitPorts = {
  readonly db: Executor;
  readonly clock: Clock;
  readonly random: Random;
  /** Hears of permits that could not be given back; they become free by themselves. */
  readonly onError: (error: unknown) => void;
};

const unseen: Milliseconds = 30;
/** Measurements before their least is believed. */
const enough = 20;
/** So long is an answer waited for, of a provider that can answer within `unseen`. */
const answerWithin: Milliseconds = 2_000;
/** Later than this a slot is missed: the permit must be back before its grace is over. */
const missed: Milliseconds = graceMs - answerWithin - 1_000;

export function createPermits(queue: string, plan: RatePlan, ports: PermitPorts): Permits {
  const { clock, random } = ports;
  const giveBack = createReturns(queue, plan, ports);
  let least: Milliseconds = Number.POSITIVE_INFINITY; // that a handover took lately
  let handovers = 0;
  let bookings = 0;
  let trip: Milliseconds = Number.POSITIVE_INFINITY; // the shortest to the database and back

  /** The first ones open connections and tell little. */
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

  /** At random, so that the workers of a fleet do not all come back at once; often enough that somebody books every slot in time. */
  async function rest(tx: Executor, got: number): Promise<Milliseconds> {
    const usually = (plan.horizonMs * (1 + random())) / 4;
    return got > 0 ? usually : Math.max(usually, await nextPermitIn(tx, queue, plan));
  }

  return async (tx, want) => {
    const before = clock.now();
    const { slots, scarce, book } = await lockPermits(tx, queue, plan, want);
    const after = clock.now();
    trip = Math.min(trip, after - before);
    bookings++;
    // The database looked at its clock somewhere between the two: a turn comes after the latest, and counts as late from the earliest
    // moment that this can have been.
    const [slot, notBefore] = [before + (bookings < enough ? 0 : trip / 2), after];
    return {
      count: slots.length,
      restMs: scarce ? await rest(tx, slots.length) : 0,
      book: async (count) =>
        (await book(count)).map((permit) => bookedOf(permit, slot + permit.wait, notBefore + permit.wait)),
    };
  };
}

/** Gives permits back in batches: those that come while a statement is under way go with the next. */
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
