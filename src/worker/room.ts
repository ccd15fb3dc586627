// How much may be claimed of a queue now, and how much of it begins at once. The rest is prefetched: that is never a message on its last attempt,
// which a crash could kill before it began.

import type { Clock, Milliseconds } from '../ports.ts';
import type { Taken } from './claim.ts';
import type { Slots } from './slots.ts';
import type { Source } from './sources.ts';

export type Room = {
  readonly free: number;
  readonly begins: number;
  /** So many have about so many messages. */
  readonly parcels: number;
};

export type Rooms = {
  of(source: Source): Room;
  /** Gives the places of what a claim brought in the order in which it starts: what begins at once has the free slots. */
  claimed(queue: string, taken: Taken): readonly number[];
};

/** A queue in which something was on its last attempt is likely to have more of that: nothing is prefetched from it meanwhile. */
const lastAttempts: Milliseconds = 5_000;

/** @param asked messages that other claims of this worker may bring */
export function createRooms(
  slots: Slots,
  asked: () => number,
  hasRate: (queue: string) => boolean,
  clock: Clock,
): Rooms {
  const unprefetched = new Map<string, Milliseconds>(); // until when, by queue
  const sizes = new Map<string, number>(); // messages in a parcel, lately, by queue

  return {
    of({ queue, alone }) {
      if (alone) return { free: 1, begins: 1, parcels: 1 };
      const begins = Math.max(0, slots.free() - asked());
      const isExact = hasRate(queue) || (unprefetched.get(queue) ?? 0) > clock.now();
      const free = isExact ? begins : slots.room() - asked();
      return { begins, free, parcels: Math.max(1, Math.floor(free / (sizes.get(queue) ?? 1))) };
    },
    claimed(queue, { messages, parcels, offered }) {
      if (parcels > 0) sizes.set(queue, Math.max(1, offered / parcels));
      if (messages.some(({ attempt, maxAttempts }) => attempt >= maxAttempts))
        unprefetched.set(queue, clock.now() + lastAttempts);
      const places = [...messages.keys()];
      const waits = (place: number): boolean => messages[place]!.prefetched === true;
      return [...places.filter((place) => !waits(place)), ...places.filter(waits)];
    },
  };
}
