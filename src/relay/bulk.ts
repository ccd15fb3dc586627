// Lanes in which much waits: the relay hands on open parcels instead of messages. A worker that fetches one takes what is next in the lane,
// so nothing is stamped twice, and an open parcel that is lost is simply made again: the rows alone say what waits (invariants B and I).

import type { Events } from '../metrics/events.ts';
import type { Database } from '../db/pool.ts';
import { beginning } from '../db/transaction.ts';
import { isQueueName } from '../outbox/message.ts';
import { dueLanes, type DueLane, type Lane } from '../outbox/lane.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { packLane, type PackOptions } from '../queue/pack.ts';

export type Bulk = {
  /** Told how many messages one step of the relay handed on by name. */
  moved(messages: number): void;
  /** Hands on open parcels; gives how many messages they stand for. */
  open(): Promise<number>;
  /** The lanes that the relay leaves to open parcels. */
  lanes(): readonly Lane[];
};

export type BulkOptions = {
  readonly db: Database;
  readonly queue: ParcelQueue;
  readonly events: Pick<Events, 'relayed' | 'stands'>;
  readonly parcels: PackOptions;
  /** Messages that one step of the relay hands on by name at most: after as many there may be lanes with much. */
  readonly named: number;
  /** Messages that open parcels of one lane stand for at most; while they stand for more than half of it, nothing is counted. */
  readonly highWater: number;
};

/** In a lane with fewer, messages are named: they are spread more evenly over the workers. */
const much = 1_000;

/** Losing this commit repeats work and loses nothing, so it need not wait for the disk. */
const begin = `${beginning}; set local synchronous_commit = off`;

export function createBulk({ db, queue, events, parcels, highWater, named }: BulkOptions): Bulk {
  let isOutdated = false; // much was handed on by name: there may be lanes that are not known here
  let opened: readonly Lane[] = [];

  async function promised(): Promise<(lane: Lane) => number> {
    const all = await queue.promised();
    return (lane) =>
      all.find((one) => one.queue === lane.queue && one.priority === lane.priority)?.messages ?? 0;
  }

  /** @param more what is announced now, beside what stands */
  function tell(more: readonly DueLane[]): number {
    for (const { queue: name, due } of more) if (due > 0) events.relayed(name, due, 0, []);
    for (const name of new Set(opened.map((lane) => lane.queue))) events.stands(name);
    return more.reduce((sum, { due }) => sum + due, 0);
  }

  return {
    moved: (messages) => void (isOutdated ||= messages >= Math.min(named, much)),
    lanes: () => opened,
    async open() {
      if (!isOutdated && opened.length === 0) return 0;
      const messagesOf = await promised();
      if (!isOutdated && opened.every((lane) => messagesOf(lane) > highWater / 2)) return tell([]);
      const due = await dueLanes(db, highWater + much);
      const bulky = due.filter(
        (lane) => isQueueName(lane.queue) && (lane.due >= much || messagesOf(lane) > 0),
      );
      opened = bulky;
      isOutdated = false;
      const more = bulky.map((lane) => ({ ...lane, due: missing(lane, messagesOf(lane)) }));
      const parcelsOf = more
        .filter((lane) => lane.due > 0)
        .flatMap((lane) => packLane(lane, lane.due, parcels));
      if (parcelsOf.length > 0) await db.transaction((tx) => queue.send(tx, parcelsOf), begin);
      return tell(more);
    },
  };

  /** Not for every message that a worker takes: parcels would be small and many. */
  function missing({ due }: DueLane, there: number): number {
    if (there > highWater / 2) return 0;
    return Math.max(0, Math.min(due, highWater) - there);
  }
}
