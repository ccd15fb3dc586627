// fetch → claim, in one transaction: parcels leave pg-boss, their messages become ours, and what no free slot can start goes back
// as a smaller parcel for another worker. A crash before the commit undoes all of it.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { jobsAmong } from '../outbox/jobs-among.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import type { Parcel } from '../queue/parcel.ts';
import { startable, type Wanted } from './limits.ts';

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
  /** Messages that went back because their job runs as often as it may. */
  readonly heldBack: number;
};

/** Takes up to `parcels` parcels of one queue and claims at most `free` of their messages. */
export async function takeAndClaim(
  name: string,
  alone: boolean,
  want: Wanted,
  ports: ClaimPorts,
): Promise<Taken> {
  const { db, queue, outboxOn, workerId, leaseMs } = ports;
  return db.transaction(async (tx) => {
    const parcels = await queue.take(tx, name, alone, want.parcels);
    const offered = parcels.flatMap((parcel) => parcel.ids);
    if (offered.length === 0) return { messages: [], offered: 0, parcels: parcels.length, heldBack: 0 };
    const jobs = want.room ? await jobsAmong(tx, offered, [...want.room.keys()]) : new Map<string, string>();
    const { ids, heldBack } = startable(offered, want, jobs);
    const messages = await outboxOn(tx).claimBatch({ ids, limit: want.free, leaseMs, workerId });
    const left = remainder(parcels, new Set(ids));
    if (left.length > 0) await queue.send(tx, left);
    return { messages, offered: offered.length, parcels: parcels.length, heldBack };
  });
}

/** What is left of parcels without these messages. */
export function remainder(parcels: readonly Parcel[], taken: ReadonlySet<string>): Parcel[] {
  return parcels
    .map((parcel) => ({ ...parcel, ids: parcel.ids.filter((id) => !taken.has(id)) }))
    .filter((parcel) => parcel.ids.length > 0);
}
