// A worker's loop: fetch parcels, claim what free slots can start, start it. Asked when a notification hints at work, when a slot
// frees, and at the polling floor. A message whose earlier worker died runs with nothing beside it (invariant F).

import type { ClaimedMessage } from '../outbox/message.ts';
import type { Milliseconds, Clock, Observe } from '../ports.ts';
import { fromBossQueue } from '../queue/parcel.ts';
import { attempt, type AttemptPorts } from './attempt.ts';
import { takeAndClaim, type ClaimPorts } from './claim.ts';
import type { Limits } from './limits.ts';
import type { Slots } from './slots.ts';
import type { Turn } from './turn.ts';

export type WorkerOptions = {
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly claims: ClaimPorts;
  readonly attempts: AttemptPorts;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly observe: Observe;
  readonly pollIntervalMs: Milliseconds;
};

export type Worker = {
  step(): Promise<Milliseconds>;
  /** A parcel may be in the pg-boss queue of this name; in any, when it is empty. */
  hint(name: string): void;
};

type Source = { readonly queue: string; readonly alone: boolean };

export function createWorker(options: WorkerOptions): Worker {
  const { queues, slots, claims, attempts, limits, clock, observe, pollIntervalMs } = options;
  const hints = new Map<string, Source>();
  const full = new Map<string, Source>(); // all that was found there waits for a job that runs as often as it may
  const sizes = new Map<string, number>(); // messages in a parcel, lately, by queue
  const rests = new Map<string, number>(); // when a queue with a rate is worth asking again
  let polledAt = Number.NEGATIVE_INFINITY;
  let fruitless = 0; // takes since the last poll that only found jobs without room
  let aloneNext = true;
  let reserved = false; // a message that wants the worker for itself is running

  function hint(name: string): void {
    if (name === '') polledAt = Number.NEGATIVE_INFINITY;
    const source = fromBossQueue(name);
    if (queues.includes(source.queue)) hints.set(name, source);
  }

  async function poll(): Promise<void> {
    // A hint is taken at once; only when hints never end, the poll comes in between.
    const patience = hints.size === 0 ? pollIntervalMs : 5 * pollIntervalMs;
    if (clock.now() - polledAt < patience) return;
    polledAt = clock.now();
    fruitless = 0;
    for (const source of await claims.queue.ready(queues))
      hints.set(`${source.queue}${source.alone ? '/alone' : ''}`, source);
  }

  async function take(name: string, { queue, alone }: Source): Promise<void> {
    const free = alone ? 1 : slots.free();
    const parcels = alone ? 1 : Math.max(1, Math.floor(free / (sizes.get(queue) ?? 1)));
    hints.delete(name); // before the fetch: a notification during it counts
    const since = clock.now();
    const want = { parcels, free, room: limits.room(queue) };
    const taken = await takeAndClaim(queue, alone, want, claims).catch((error: unknown) => {
      hints.set(name, { queue, alone });
      throw error;
    });
    if (taken.parcels > 0) sizes.set(queue, Math.max(1, taken.offered / taken.parcels));
    const nothing = taken.heldBack > 0 && taken.messages.length === 0;
    // What went back stands at the end now: other jobs may wait behind it. A few looks for each poll, not one after another.
    if (nothing && (taken.parcels < parcels || ++fruitless > 8)) full.set(name, { queue, alone });
    else if (taken.more) hints.set(name, { queue, alone });
    rests.set(queue, clock.now() + taken.restMs);
    for (const [i, message] of taken.messages.entries())
      slots.run(() => runReserving(alone, run(message, since, taken.turns[i])));
    observe('claimed', { queue, messages: taken.messages.length });
  }

  async function run(message: ClaimedMessage, since: Milliseconds, turn: Turn | undefined): Promise<void> {
    limits.started(message);
    await attempt(message, since, attempts, turn).finally(() => limits.ended(message));
    for (const [name, source] of full) hints.set(name, source); // the slot that frees now wakes the loop
    full.clear();
  }

  async function runReserving(alone: boolean, running: Promise<void>): Promise<void> {
    reserved ||= alone;
    await running.finally(() => (reserved &&= !alone));
  }

  /** Ordinary parcels and those that want the worker for themselves take turns, so that neither starves. */
  function choose(): [string, Source][] {
    if (reserved) return [];
    const now = clock.now();
    const ready = [...hints].filter(([, { queue }]) => (rests.get(queue) ?? 0) <= now);
    const [alone, shared] = [ready.filter(([, s]) => s.alone), ready.filter(([, s]) => !s.alone)];
    if (alone.length > 0 && (aloneNext || shared.length === 0)) return slots.busy() === 0 ? [alone[0]!] : [];
    return shared;
  }

  async function step(): Promise<Milliseconds> {
    await poll();
    const chosen = choose();
    for (const [name, source] of chosen) {
      if (slots.free() === 0 || reserved) break;
      await take(name, source);
      aloneNext = !source.alone;
    }
    const stuck = chosen.length === 0 || reserved || slots.free() === 0;
    return stuck || hints.size === 0 ? untilNext() : 0; // a slot that frees wakes the loop
  }

  function untilNext(): Milliseconds {
    const now = clock.now();
    const rested = [...hints.values()].map(({ queue }) => rests.get(queue) ?? 0).filter((at) => at > now);
    return Math.max(1, Math.ceil(Math.min(polledAt + pollIntervalMs, ...rested) - now));
  }

  return { step, hint };
}
