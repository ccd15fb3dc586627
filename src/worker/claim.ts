// fetch → claim, in one transaction: parcels leave pg-boss, their messages become ours, and what no free slot can start goes back
// as a smaller parcel for another worker. A crash before the commit undoes all of it.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import type { Parcel } from '../queue/parcel.ts';

export type ClaimPorts = {
  readonly db: Database;
  readonly queue: ParcelQueue;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly workerId: string;
  readonly leaseMs: Milliseconds;
};

export type Taken = {
  readonly messages: readonly ClaimedMessage[];
  /** Messages that were in the parcels, for the size of the next fetch. */
  readonly offered: number;
  readonly parcels: number;
};

/** Takes up to `parcels` parcels of one queue and claims at most `free` of their messages. */
export async function takeAndClaim(
  name: string,
  alone: boolean,
  want: { readonly parcels: number; readonly free: number },
  ports: ClaimPorts,
): Promise<Taken> {
  const { db, queue, outboxOn, workerId, leaseMs } = ports;
  return db.transaction(async (tx) => {
    const parcels = await queue.take(tx, name, alone, want.parcels);
    const ids = parcels.flatMap((parcel) => parcel.ids);
    if (ids.length === 0) return { messages: [], offered: 0, parcels: parcels.length };
    const messages = await outboxOn(tx).claimBatch({
      ids: ids.slice(0, want.free),
      limit: want.free,
      leaseMs,
      workerId,
    });
    const left = remainder(parcels, want.free);
    if (left.length > 0) await queue.send(tx, left);
    return { messages, offered: ids.length, parcels: parcels.length };
  });
}

/** What is left of parcels after their first `count` messages were taken. */
export function remainder(parcels: readonly Parcel[], count: number): Parcel[] {
  const left: Parcel[] = [];
  let skip = count;
  for (const parcel of parcels) {
    const ids = parcel.ids.slice(skip);
    skip = Math.max(0, skip - parcel.ids.length);
    if (ids.length > 0) left.push({ ...parcel, ids });
  }
  return left;
}
