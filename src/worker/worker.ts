// A worker finds where work may be (where.ts), claims what its slots have room for (slots.ts), and runs each message as an attempt. There is one
// claim at a time for each queue at a priority. Claims begin when a NOTIFY arrives, when a claim is answered, and in the loop, which polls. A
// suspect runs alone (invariant F; src/process/isolation.ts).

/* oxlint-disable max-lines -- one loop; its steps share one state */

import type { DedicatedConnection } from '../db/dedicated.ts';
import { createBegun } from '../outbox/begun.ts';
import { claimProbe, claimSuspect } from '../outbox/claim.ts';
import type { Claimed } from '../outbox/claimed.ts';
import { findDue, type DuePlace } from '../outbox/waiting.ts';
import type { Milliseconds, Clock, Observe } from '../ports.ts';
import type { Isolation } from '../process/isolation.ts';
import type { Wake } from '../process/loop.ts';
import type { WakeUp } from '../queue/wake-up.ts';
import { traceReceived } from '../trace/message.ts';
import { Attempt, type AttemptPorts } from './attempt.ts';
import { claimAt, claimNamedOf, type ClaimPorts, type Taken, createRoom, type Want } from './claim.ts';
import type { Pace } from './pace.ts';
import { createSlots, type Slots } from './slots.ts';
import type { BookedPermit } from './permits.ts';
import type { KnownLimits } from './limits.ts';
import { createWhere, type Spot } from './where.ts';

export type WorkerOptions = {
  readonly queues: readonly string[];
  /** Number of slots. */
  readonly size: number;
  readonly pace: Pace;
  readonly claims: ClaimPorts;
  readonly attempts: AttemptPorts;
  readonly limits: KnownLimits;
  /** What the application adds to the priorities of messages where it chooses between queues. */
  readonly priorities?: ReadonlyMap<string, number>;
  /** Shared by all workers of the process. */
  readonly isolation: Isolation;
  readonly wake: Wake;
  /** A person quieted the process: nothing is claimed. Default: no. */
  readonly isQuiet?: () => boolean;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Called after each claim: seconds since its messages became due, and whether a wake-up had announced them. */
  readonly onClaimed: (queue: string, lags: readonly number[], isAnnounced: boolean) => void;
  readonly pollIntervalMs: Milliseconds;
  /** Called when a claim failed, with the number of failures in a row. It is tried again. */
  readonly onClaimFailed: (error: unknown, times: number) => void;
  readonly onError: (error: unknown) => void;
};

export type Worker = {
  readonly slots: Slots;
  step(): Promise<Milliseconds>;
  /** A NOTIFY of the outbox arrived. @param session on this connection */
  notified(payload: string, session?: DedicatedConnection): void;
  /** Wake-ups were fetched. */
  announced(wakeUps: readonly WakeUp[]): void;
  /** It knows of no work in this queue and a slot is free: wake-ups are worth a fetch. */
  isIdle(queue: string): boolean;
  /** Resolves when no claim is under way and no message is in hand. */
  idle(): Promise<void>;
  /** Claims nothing more and releases what has not begun. Resolves when the last claim is answered. */
  close(): Promise<void>;
};

/** Pause after a claim that failed. It doubles with each failure in a row, up to a poll interval. */
const firstPause: Milliseconds = 50;

// oxlint-disable-next-line max-lines-per-function -- methods over the state of one worker
export function createWorker(options: WorkerOptions): Worker {
  const { queues, limits, pace, claims, attempts, isolation, wake, clock, observe, pollIntervalMs } = options;
  const { isQuiet = () => false } = options;
  const where = createWhere(queues, options.priorities);
  const begun = createBegun(claims.planned ?? claims.db, claims.workerId, queues[0] ?? '');
  const slots = createSlots(options.size, {
    pace,
    wake: { ...wake, wake: roomMade },
    clock,
    mark: (works) => begun.mark((works as Attempt[]).map(({ message }) => message.id)),
    ended: (work) => ended(work as Attempt),
    onError: options.onError,
  });
  const room = createRoom(slots, limits, clock);
  let polledAt = Number.NEGATIVE_INFINITY;
  let claiming = 0;
  let failures = 0;
  let session: DedicatedConnection | undefined;
  let suspects: readonly DuePlace[] = [];
  let isAlone = false; // a suspect runs here, or is being claimed
  let suspect: Attempt | undefined; // the one that runs
  let closed = false;
  const onBack: (() => void)[] = [];

  function start({ message, lag }: Claimed, since: Milliseconds, permit?: BookedPermit): void {
    traceReceived(message, lag);
    const attempt = new Attempt(message, since, attempts, slots, permit);
    isolation.begun(attempt);
    if (isAlone) suspect ??= attempt;
    room.started(message.queue);
    slots.run(attempt);
  }

  function ended(attempt: Attempt): void {
    begun.ended(attempt.message.id);
    room.ended(attempt.queue);
    if (limits.isCrowded(attempt.queue)) where.freed(attempt.queue, clock.now());
    isolation.ended(attempt);
    const { orderKey, queue, group } = attempt.message;
    // The next message of its order key may be available now.
    if (orderKey) where.found({ queue, priority: attempt.priority, isGrouped: typeof group === 'string' });
    if (attempt !== suspect) return;
    leaveAlone();
    polledAt = Number.NEGATIVE_INFINITY; // there may be another suspect
  }

  /** Begins every claim that has a reason and room. Its time adds to the latency of each NOTIFY and each claim. */
  function pump(): void {
    const now = clock.now();
    const ready = closed || isQuiet() ? [] : where.ready(now);
    // Prefetched messages fill each slot that frees: none while a place of the same or a higher priority is starved.
    const starved = ready.find(room.isStarved)?.priority ?? Number.NEGATIVE_INFINITY;
    for (const [i, spot] of ready.entries()) {
      if (!isolation.admits(spot.queue)) continue;
      const want = room.of(spot, sharing(ready, i), spot.priority > starved);
      if (want.limit > 0) claim(spot, want, now);
    }
  }

  function roomMade(): void {
    pump();
    if (suspects.length > 0) wake.wake(); // nothing may be in flight now
  }

  /** Places of the same priority share the room. What one leaves is claimed when the first claims are answered. */
  const sharing = (ready: readonly Spot[], i: number): number =>
    ready.slice(i).filter((other) => other.priority === ready[i]!.priority).length;

  function claim(spot: Spot, want: Want, since: Milliseconds): void {
    const { queue, priority, isAnnounced, isGrouped, after } = spot;
    const known = limits.of(queue);
    where.begin(spot, since);
    room.asked(spot, want);
    isolation.asks();
    claiming++;
    const on = session?.keepsPlans === true ? session : undefined;
    const from = spot.bookmark; // `begin` drops one that is too old
    claimAt({ queue, priority, isGrouped, ...want, from, after, known }, claims, on, (error, taken) => {
      claiming--;
      room.answered(spot, want);
      isolation.answered();
      if (error) failed(spot, error);
      else claimed(spot, want, taken, since, isAnnounced);
      pump();
      if (claiming === 0) for (const resolve of onBack.splice(0)) resolve();
      wake.wake(); // now the loop can compute its next delay
    });
  }

  function claimed(
    spot: Spot,
    { limit, begins }: Want,
    taken: Taken,
    since: Milliseconds,
    isAnnounced: boolean,
  ): void {
    const { claimed: got, permits, isScarce, restMs, after, isLap } = taken;
    const now = clock.now();
    failures = 0;
    pace.claimed(now - since);
    const isCrowded = limits.of(spot.queue) !== undefined && got.length < limit && !isScarce;
    const againMs = isCrowded ? limits.againMs(spot.queue, got.length, room.inHand(spot.queue)) : undefined;
    if (restMs > 0) where.rest(spot.queue, now + restMs);
    where.end(spot, now, {
      messages: got.length,
      isFull: got.length === limit || isScarce || (spot.isGrouped === true && got.length > 0),
      after,
      isLap,
      againMs,
      isPrefetching: begins < limit,
      lastDue: got.length === 0 ? undefined : Math.max(...got.map(({ due }) => due)),
    });
    room.claimed(spot.queue, got);
    // Messages that begin at once get the free slots.
    got.forEach((one, i) => one.message.prefetched || start(one, since, permits[i]));
    got.forEach((one, i) => one.message.prefetched && start(one, since, permits[i]));
    const lags = got.map(({ lag }) => lag);
    if (lags.length > 0) options.onClaimed(spot.queue, lags, isAnnounced);
    observe('claimed', { queue: spot.queue, priority: spot.priority, messages: got.length });
  }

  function failed(spot: Spot, error: Error): void {
    failures++;
    const pause = Math.min(
      Math.max(firstPause, pollIntervalMs),
      firstPause * 2 ** Math.min(10, failures - 1),
    );
    where.failed(spot, clock.now() + pause);
    options.onClaimFailed(error, failures);
  }

  async function poll(): Promise<void> {
    const now = clock.now();
    if (now - polledAt < pollIntervalMs && !where.isPollWanted(now)) return;
    where.polling();
    const { places: found, limits: texts } = await findDue(claims.db, queues).catch((error: unknown) => {
      where.polled(undefined);
      isolation.want(worker, false); // its suspects can wait; other databases have work
      throw error;
    });
    polledAt = clock.now(); // not before: a poll that failed does not count
    limits.polled(texts);
    where.polled(found.length);
    for (const place of found) if (!place.suspects && !place.probe && !place.named) where.found(place);
    suspects = found.filter((place) => place.suspects);
    for (const { queue } of found.filter((place) => place.probe && !place.suspects)) await probe(queue);
    for (const { queue } of found.filter((place) => place.named)) await runNamed(queue);
  }

  /** Claims the probe of a parked queue: one at a time in the whole fleet. */
  async function probe(queue: string): Promise<void> {
    if (slots.free() === 0 || !isolation.admits(queue)) return;
    const since = clock.now();
    await asking(() => claimProbe(claims.db, queue, claims), since);
  }

  /** Claims the messages that a person lets through the pause of their queue, one after the other. */
  async function runNamed(queue: string): Promise<void> {
    const hasRoom = (): boolean => slots.free() > 0 && room.inHand(queue) < limits.perProcess(queue);
    for (let got = 1; got > 0 && hasRoom() && isolation.admits(queue);) {
      const since = clock.now();
      isolation.asks();
      try {
        const { claimed: its, permits } = await claimNamedOf(queue, claims, limits.of(queue));
        its.forEach((one, i) => start(one, since, permits[i]));
        got = its.length;
      } finally {
        isolation.answered();
      }
    }
  }

  async function asking(ask: () => Promise<readonly Claimed[]>, since: Milliseconds): Promise<void> {
    isolation.asks();
    try {
      for (const one of await ask()) start(one, since);
    } finally {
      isolation.answered();
    }
  }

  /** Claims a suspect when nothing is in flight in the process. */
  async function isolate(): Promise<void> {
    const [first] = suspects;
    const isWanted = first !== undefined && !isQuiet();
    isolation.want(worker, isWanted);
    if (!isWanted || isAlone || closed) return;
    if (!isolation.mayEnter(where.ready(clock.now()).length > 0)) return;
    suspects = suspects.slice(1); // another worker may have claimed it already
    isAlone = true;
    isolation.enter(worker);
    const since = clock.now();
    try {
      const { queue } = first;
      const one = first.probe
        ? await claimProbe(claims.db, queue, claims, true)
        : await claimSuspect(claims.db, queue, claims);
      if (one[0]) start(one[0], since);
    } finally {
      if (isAlone && suspect === undefined) leaveAlone();
    }
  }

  function leaveAlone(): void {
    isAlone = false;
    suspect = undefined;
    isolation.leave(worker);
    wake.wake();
  }

  async function claimsBack(): Promise<void> {
    if (claiming > 0) await new Promise<void>((resolve) => void onBack.push(resolve));
  }

  function untilNext(): Milliseconds {
    const now = clock.now();
    if (isQuiet()) return Math.max(1, Math.ceil(Math.min(pollIntervalMs, slots.look())));
    const next = Math.min(polledAt + pollIntervalMs, where.nextAt(now)) - now;
    return Math.max(1, Math.ceil(Math.min(next, slots.look())));
  }

  const worker: Worker = {
    slots,
    async step() {
      slots.shed();
      if (!isQuiet()) await poll();
      await isolate();
      pump();
      return untilNext();
    },
    notified(payload, on) {
      session = on;
      where.notified(payload, clock.now());
      pump();
      session = undefined; // claims that follow may go out while one waits for its answer there
      wake.wake();
    },
    announced(wakeUps) {
      for (const wakeUp of wakeUps) where.found(wakeUp, true);
      pump();
    },
    isIdle: (queue) => !isQuiet() && slots.free() > 0 && where.isIdle(queue),
    async idle() {
      while (claiming + slots.busy() > 0) {
        await claimsBack();
        await slots.idle();
      }
    },
    async close() {
      closed = true;
      slots.close();
      await claimsBack();
    },
  };
  return worker;
}
