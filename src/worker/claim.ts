// fetch → claim, in one transaction: parcels leave pg-boss, their messages become ours, and what no free slot can start goes back
// as a smaller parcel for another worker. A crash before the commit undoes all of it.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { jobsAmong } from '../outbox/claim.ts';
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
  /** Messages that went back because their job runs as often as it may. */
  readonly heldBack: number;
};

export type Wanted = {
  readonly parcels: number;
  /** Messages that can start. */
  readonly free: number;
  /** Jobs with a limit, and how many of each may start. */
  readonly room?: ReadonlyMap<string, number> | undefined;
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

/** The first `free` messages whose jobs have room. `jobs`: message → job, for jobs with a limit. */
export function startable(
  offered: readonly string[],
  { free, room = new Map() }: Wanted,
  jobs: ReadonlyMap<string, string>,
): { ids: string[]; heldBack: number } {
  const left = new Map(room);
  const ids: string[] = [];
  let heldBack = 0;
  for (const id of offered) {
    if (ids.length === free) break;
    const job = jobs.get(id);
    const places = job === undefined ? Number.POSITIVE_INFINITY : (left.get(job) ?? 0);
    if (places > 0) ids.push(id);
    else heldBack += 1;
    if (job !== undefined && places > 0) left.set(job, places - 1);
  }
  return { ids, heldBack };
}

/** What is left of parcels without these messages. */
export function remainder(parcels: readonly Parcel[], taken: ReadonlySet<string>): Parcel[] {
  return parcels
    .map((parcel) => ({ ...parcel, ids: parcel.ids.filter((id) => !taken.has(id)) }))
    .filter((parcel) => parcel.ids.length > 0);
}
