// A worker's loop: fetch parcels, claim what free slots can start, start it. Asked when a notification hints at work, when a slot
// frees, and at the polling floor. A message whose earlier worker died runs with nothing beside it (invariant F).

import type { ClaimedMessage } from '../outbox/message.ts';
import type { Milliseconds, Clock, Observe } from '../ports.ts';
import type { Wake } from '../process/loop.ts';
import type { AttemptPorts } from './attempt.ts';
import { takeAndClaim, type ClaimPorts } from './claim.ts';
import { orDirectly } from './direct.ts';
import type { Limits } from './limits.ts';
import { claimOnward, laneAhead } from './onward.ts';
import type { Pace } from './pace.ts';
import { createShortcut, type Shortcut } from './shortcut.ts';
import type { Slots } from './slots.ts';
import { createSources, type Source } from './sources.ts';
import type { Turn } from './turn.ts';
import { ClaimedWork } from './work.ts';

export type WorkerOptions = {
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly pace: Pace;
  readonly claims: ClaimPorts;
  readonly attempts: AttemptPorts;
  readonly limits: Limits;
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

/** What was claimed ahead and found no slot in this time goes back: another worker may have one. */
const patience: Milliseconds = 100;

export function createWorker(options: WorkerOptions): Worker {
  const { queues, slots, pace, claims, attempts, limits, clock, observe, pollIntervalMs } = options;
  const sources = createSources(queues);
  const sizes = new Map<string, number>(); // messages in a parcel, lately, by queue
  let polledAt = Number.NEGATIVE_INFINITY;
  let fruitless = 0; // takes since the last poll that only found jobs without room
  let reserved = false; // a message that wants the worker for itself is running, or is being claimed
  let asked = 0; // messages that a claim of the loop may bring
  const shortcut = createShortcut({
    queues: queues.filter((queue) => limits.room(queue) === undefined && !claims.turns?.has(queue)),
    slots,
    claims,
    clock,
    others: () => (reserved || isAloneNext() ? undefined : asked),
    start: (message, since) => start(message, since, undefined),
    claimed(lags) {
      for (const [queue, its] of lags) options.onRelayed(queue, its);
      observe('claimed', { shortcut: true, messages: [...lags.values()].flat().length });
      options.wake.wake(); // the loop may have waited for the end of this
    },
    onError: options.onError,
  });

  const next = (): readonly Source[] => sources.next(clock.now());
  const isAloneNext = (): boolean => next()[0]?.alone === true;

  async function poll(): Promise<void> {
    // A hint is taken at once; only when hints never end, the poll comes in between.
    const after = sources.isEmpty() ? pollIntervalMs : 5 * pollIntervalMs;
    if (clock.now() - polledAt < after) return;
    const ready = await claims.queue.ready(queues);
    polledAt = clock.now(); // not before: a poll that failed is none
    fruitless = 0;
    for (const source of ready) sources.add(source);
  }

  /** False when nothing was asked for: whatever makes room wakes the loop. */
  async function take(source: Source): Promise<boolean> {
    const { queue, alone } = source;
    const free = alone ? 1 : (claims.turns?.has(queue) ? slots.free() : slots.room()) - shortcut.asked();
    if (free <= 0) return false;
    const parcels = alone ? 1 : Math.max(1, Math.floor(free / (sizes.get(queue) ?? 1)));
    sources.remove(source); // before the fetch: a notification during it counts
    const since = clock.now();
    const want = { parcels, free, room: limits.room(queue) };
    const lane = laneAhead(source, sources, claims);
    [reserved, asked] = [alone, free];
    const claim = lane ? claimOnward(lane, free, claims) : takeAndClaim(queue, alone, want, claims);
    const taken = await claim.catch((error: unknown) => {
      sources.add(source);
      [reserved, asked] = [false, 0];
      throw error;
    });
    [reserved, asked] = [alone && taken.messages.length > 0, 0];
    if (taken.gaveBack) sources.gave(queue);
    if (taken.parcels > 0) sizes.set(queue, Math.max(1, taken.offered / taken.parcels));
    const nothing = taken.heldBack > 0 && taken.messages.length === 0;
    // What went back stands at the end now: other jobs may wait behind it. A few looks for each poll, not one after another.
    if (nothing && (taken.parcels < parcels || ++fruitless > 8)) sources.setFull(source);
    else if (taken.more) sources.add(source);
    sources.rest(queue, clock.now() + taken.restMs);
    if (taken.lags.length > 0) options.onRelayed(queue, taken.lags);
    pace.claimed(clock.now() - since);
    let place = 0;
    for (const message of taken.messages) start(message, since, taken.turns[place++]);
    observe('claimed', { queue, messages: taken.messages.length });
    return true;
  }

  function start(message: ClaimedMessage, since: Milliseconds, turn: Turn | undefined): void {
    limits.started(message);
    slots.run(new ClaimedWork(message, since, turn, attempts, ended));
  }

  function ended(message: ClaimedMessage): void {
    limits.ended(message);
    reserved = false; // nothing ran beside it
    sources.revive(); // the slot that frees now wakes the loop
  }

  async function step(): Promise<Milliseconds> {
    slots.shed(patience);
    await poll();
    const chosen = reserved || (isAloneNext() && slots.busy() + shortcut.asked() > 0) ? [] : next();
    let took = false;
    for (const source of chosen) {
      if (slots.room() === 0 || reserved) break;
      took = (await take(source)) || took;
    }
    const stuck = !took || reserved || slots.room() === 0; // the shortcut may be asking for all the room that there is
    return stuck || sources.isEmpty() ? untilNext() : 0; // a slot that frees wakes the loop
  }

  function untilNext(): Milliseconds {
    const now = clock.now();
    const next = Math.min(polledAt + pollIntervalMs, sources.nextAt(now)) - now;
    return Math.max(1, Math.ceil(Math.min(next, slots.look(patience))));
  }

  const alone = { is: () => reserved, set: (now: boolean) => void (reserved = now) };
  return {
    step: orDirectly(step, { queues, slots, claims, limits, shortcut, alone, start, clock, observe }),
    shortcut,
    hint: sources.hear,
  };
}
