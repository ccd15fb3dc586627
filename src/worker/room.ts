// How much may be claimed at a place now, and how much of it begins at once. The rest is prefetched: that is never a message on its last attempt,
// which a crash could kill before it began.

import type { Claimed } from '../outbox/claimed.ts';
import type { Place } from '../outbox/waiting.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Slots } from './slots.ts';
import type { Spot } from './where.ts';

export type Want = {
  readonly limit: number;
  readonly begins: number;
  /** Although every slot is taken: it is more urgent than what waits for one. */
  readonly isUrgent?: true;
};

export type Room = {
  /** @param sharing places that share it, this one among them @param mayPrefetch false: only what begins at once */
  of(spot: Spot, sharing: number, mayPrefetch: boolean): Want;
  /** Nothing of it may be prefetched, and there is no slot: it would wait for as long as others are prefetched. */
  isStarved(spot: Spot): boolean;
  /** A claim for so many messages is under way … */
  asked(place: Place, want: Want): void;
  /** … and is back. */
  answered(place: Place, want: Want): void;
  claimed(queue: string, got: readonly Claimed[]): void;
  started(queue: string): void;
  ended(queue: string): void;
};

const none: Want = { limit: 0, begins: 0 };

/** A queue in which something was on its last attempt is likely to have more of that: nothing is prefetched from it meanwhile. */
const lastAttempts: Milliseconds = 5_000;

/** @param limits messages of a queue that may be in hand at a time */
export function createRoom(
  slots: Slots,
  limits: ReadonlyMap<string, number>,
  hasRate: (queue: string) => boolean,
  clock: Clock,
): Room {
  const unprefetched = new Map<string, Milliseconds>(); // until when, by queue
  const inHand = new Map<string, number>(); // of queues with a limit, what claims may bring included
  let asked = 0;
  let askedUrgently = 0;

  const leftOf = (queue: string): number =>
    (limits.get(queue) ?? Number.POSITIVE_INFINITY) - (inHand.get(queue) ?? 0);

  function count(queue: string, by: number): void {
    if (limits.has(queue)) inHand.set(queue, (inHand.get(queue) ?? 0) + by);
  }

  const isExact = ({ queue, isExact }: Spot): boolean =>
    isExact || limits.has(queue) || hasRate(queue) || (unprefetched.get(queue) ?? 0) > clock.now();

  return {
    of(spot, sharing, mayPrefetch) {
      const free = Math.min(leftOf(spot.queue), slots.free() - asked);
      const most = isExact(spot) || !mayPrefetch ? free : Math.max(free, slots.room() - asked);
      if (most > 0)
        return { limit: Math.ceil(most / sharing), begins: Math.max(0, Math.ceil(free / sharing)) };
      if (isExact(spot)) return none;
      const { count: urgent, above } = slots.urgent();
      return spot.priority > above ? { limit: urgent - askedUrgently, begins: 0, isUrgent: true } : none;
    },
    isStarved: (spot) => isExact(spot) && leftOf(spot.queue) > 0 && slots.free() - asked <= 0,
    asked({ queue }, { limit, isUrgent }) {
      if (isUrgent) askedUrgently += limit;
      else asked += limit;
      count(queue, limit);
    },
    answered({ queue }, { limit, isUrgent }) {
      if (isUrgent) askedUrgently -= limit;
      else asked -= limit;
      count(queue, -limit);
    },
    claimed(queue, got) {
      if (got.some(({ message: { attempt, maxAttempts } }) => attempt >= maxAttempts))
        unprefetched.set(queue, clock.now() + lastAttempts);
    },
    started: (queue) => count(queue, 1),
    ended: (queue) => count(queue, -1),
  };
}
