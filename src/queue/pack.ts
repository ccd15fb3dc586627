// Due messages → parcels. A message with an attempt behind it has a parcel of its own, and a suspect gets a worker for itself
// (invariant F); the others share, and a parcel grows with the backlog: one message while there is little to do, up to `limit` when there is much.

import type { DueMessage } from '../outbox/due.ts';
import type { Lane } from '../outbox/lane.ts';
import { isSuspect } from '../outbox/suspect.ts';
import type { Parcel } from './parcel.ts';

export type PackOptions = {
  /** Messages in a parcel at most. */
  readonly limit: number;
  /** Into how many parcels a backlog is cut before they grow: enough that each worker of a fleet finds one. */
  readonly spread: number;
};

export function pack(due: readonly DueMessage[], { limit, spread }: PackOptions): Parcel[] {
  const [alone, sound] = partition(due, ({ attempts, expirations }) => attempts > 0 || expirations > 0);
  const groups = Map.groupBy(sound, (message) => `${message.priority} ${message.queue}`);
  const parcels: Parcel[] = alone.map((message) => ({
    ...parcelOf([message]),
    alone: isSuspect(message),
  }));
  for (const group of groups.values()) {
    const size = sizeOf(group.length, { limit, spread });
    for (let at = 0; at < group.length; at += size) parcels.push(parcelOf(group.slice(at, at + size)));
  }
  return parcels;
}

/** Parcels that name no message: a worker takes what is next in the lane. */
export function packLane({ queue, priority }: Lane, messages: number, options: PackOptions): Parcel[] {
  const size = sizeOf(messages, options);
  const count = Math.ceil(messages / size);
  return Array.from({ length: count }, (_, i) => ({
    queue,
    priority,
    ids: [],
    any: Math.min(size, messages - i * size),
  }));
}

const sizeOf = (messages: number, { limit, spread }: PackOptions): number =>
  Math.min(limit, Math.max(1, Math.ceil(messages / spread)));

function parcelOf(messages: readonly DueMessage[]): Parcel {
  const { queue, priority } = messages[0]!;
  return { queue, priority, ids: messages.map((message) => message.id) };
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
