// A worker's loop: fetch parcels, claim what free slots can start, start it. Asked when a notification hints at work, when a slot
// frees, and at the polling floor. A suspect runs with nothing beside it (invariant F; src/process/isolation.ts).

import type { Milliseconds, Clock, Observe } from '../ports.ts';
import { createIsolation, type Isolation } from '../process/isolation.ts';
import type { Wake } from '../process/loop.ts';
import { createAlone } from './alone.ts';
import type { AttemptPorts } from './attempt.ts';
import { takeAndClaim, type ClaimPorts } from './claim.ts';
import { orDirectly } from './direct.ts';
import { createHand } from './hand.ts';
import type { Limits } from './limits.ts';
import { claimOnward, laneAhead } from './onward.ts';
import type { Pace } from './pace.ts';
import { createShortcut, type Shortcut } from './shortcut.ts';
import { createRooms } from './room.ts';
import type { Slots } from './slots.ts';
import { createSources, type Source } from './sources.ts';

export type WorkerOptions = {
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly pace: Pace;
  readonly claims: ClaimPorts;
  readonly attempts: AttemptPorts;
  readonly limits: Limits;
  /** The process's: its other workers share it. Default: this worker is alone in its process. */
  readonly isolation?: Isolation;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly observe: Observe;
  /** Hears of messages that were relayed by being claimed: seconds since they became due. */
  readonly onRelayed: (queue: string, lags: readonly number[]) => void;
  readonly pollIntervalMs: Milliseconds;
  /** Hears of claims on the shortcut that failed; the relay serves what they were to take. */
  readonly onError: (error: unknown) => void;
};

export type Worker = {
  step(): Promise<Milliseconds>;
  /** The name of a queue of pg-boss; when it is empty, any may hold parcels. */
  hint(name: string): void;
  readonly shortcut: Shortcut;
};

export function createWorker(options: WorkerOptions): Worker {
  const { queues, slots, pace, claims, attempts, limits, clock, observe, pollIntervalMs } = options;
  const { isolation = createIsolation(clock, attempts.random) } = options;
  const sources = createSources(queues);
  let polledAt = Number.NEGATIVE_INFINITY;
  let fruitless = 0; // takes since the last poll that only found jobs without room
  let asked = 0; // messages that a claim of the loop may bring
  const shortcut = createShortcut({
    queues: queues.filter((queue) => limits.room(queue) === undefined && !claims.turns?.has(queue)),
    slots,
    claims,
    clock,
    others: () => asked,
    isolation,
    start: (message, since) => start(message, since),
    claimed(lags) {
      for (const [queue, its] of lags) options.onRelayed(queue, its);
      observe('claimed', { shortcut: true, messages: [...lags.values()].flat().length });
      options.wake.wake(); // the loop may have waited for the end of this
    },
    onError: options.onError,
  });

  const rooms = createRooms(slots, shortcut.asked, (queue) => claims.turns?.has(queue) ?? false, clock);
  const alone = createAlone({ isolation, sources, slots, clock, take });

  const { planned = claims.db, workerId } = claims;
  const part = queues[0] ?? '';
  const hand = { slots, limits, isolation, attempts, db: planned, workerId, part };
  const start = createHand({ ...hand, ended });

  function ended(): void {
    alone.ended(); // nothing ran beside it
    sources.revive(); // the slot that frees now wakes the loop
  }

  async function poll(): Promise<void> {
    // A hint is taken at once; only when hints never end, the poll comes in between. A suspect waits, and others may have taken it.
    const isWaiting = sources.isEmpty() || sources.alone(clock.now()) !== undefined;
    if (clock.now() - polledAt < (isWaiting ? pollIntervalMs : 5 * pollIntervalMs)) return;
    const ready = await claims.queue.ready(queues);
    polledAt = clock.now(); // not before: a poll that failed is none
    fruitless = 0;
    sources.polled(ready);
  }

  /** False when nothing was asked for: whatever makes room wakes the loop. */
  async function take(source: Source): Promise<boolean> {
    const { queue } = source;
    const room = rooms.of(source);
    const { free, parcels } = room;
    if (free <= 0) return false;
    sources.remove(source); // before the fetch: a notification during it counts
    const since = clock.now();
    const want = { ...room, room: limits.room(queue) };
    const lane = laneAhead(source, sources, claims);
    asked = free;
    isolation.asks();
    const claim = lane
      ? claimOnward(lane, free, claims, room.begins)
      : takeAndClaim(queue, source.alone, want, claims);
    const taken = await claim
      .catch((error: unknown) => {
        sources.add(source);
        throw error;
      })
      .finally(() => {
        asked = 0;
        isolation.answered();
      });
    if (taken.gaveBack) sources.gave(queue);
    const nothing = taken.heldBack > 0 && taken.messages.length === 0;
    // What went back stands at the end now: other jobs may wait behind it. A few looks for each poll, not one after another.
    if (nothing && (taken.parcels < parcels || ++fruitless > 8)) sources.setFull(source);
    else if (taken.more) sources.add(source);
    sources.rest(queue, clock.now() + taken.restMs);
    if (taken.lags.length > 0) options.onRelayed(queue, taken.lags);
    pace.claimed(clock.now() - since);
    const { messages, turns } = taken;
    for (const place of rooms.claimed(queue, taken)) start(messages[place]!, since, turns[place]);
    observe('claimed', { queue, messages: messages.length });
    return true;
  }

  async function step(): Promise<Milliseconds> {
    slots.shed();
    await poll();
    let took = await alone.isolate();
    for (const source of sources.shared(clock.now())) {
      if (slots.room() === 0) break;
      if (isolation.admits(source.queue)) took = (await take(source)) || took;
    }
    const stuck = !took || alone.isRunning() || slots.room() === 0; // the shortcut may be asking for all the room that there is
    return stuck || sources.isEmpty() ? untilNext() : 0; // a slot that frees wakes the loop
  }

  function untilNext(): Milliseconds {
    const now = clock.now();
    const next = Math.min(polledAt + pollIntervalMs, sources.nextAt(now)) - now;
    return Math.max(1, Math.ceil(Math.min(next, slots.look())));
  }

  return {
    step: orDirectly(step, {
      queues,
      slots,
      claims,
      limits,
      isolation,
      shortcut,
      alone,
      start,
      clock,
      observe,
    }),
    shortcut,
    hint: sources.hear,
  };
}
