// fetch → claim, in one transaction: parcels leave pg-boss, their messages become ours, and what no free slot can start goes back
// as a smaller parcel for another worker. A crash before the commit undoes all of it.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import { jobsAmong } from '../outbox/jobs-among.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import { giveBack } from '../outbox/gate.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { idsIn, messagesIn, remainder } from '../queue/parcel.ts';
import type { Bookmarks } from './bookmarks.ts';
import type { Turn, Turns } from './turn.ts';
import { startable, type Wanted } from './limits.ts';
import { nameParcels, openParcels } from './opening.ts';

export type ClaimPorts = {
  readonly db: Database;
  /** For claims of one statement. Default: `db`. */
  readonly planned?: Executor;
  readonly queue: ParcelQueue;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly workerId: string;
  readonly leaseMs: Milliseconds;
  readonly bookmarks?: Bookmarks;
  /** Of queues with a rate. */
  readonly turns?: ReadonlyMap<string, Turns>;
};

export type Taken = {
  readonly messages: readonly ClaimedMessage[];
  /** One for each message, when the queue has a rate. */
  readonly turns: readonly Turn[];
  /** Of those from open parcels, which are relayed by being claimed: seconds since they became due. */
  readonly lags: readonly number[];
  /** The queue may have more that can be claimed now … */
  readonly more: boolean;
  /** … after this time. */
  readonly restMs: Milliseconds;
  /** Messages that were in the parcels, for the size of the next fetch. */
  readonly offered: number;
  readonly parcels: number;
  /** Messages that went back because their job runs as often as it may. */
  readonly heldBack: number;
  /** Parcels went back: a notification tells all workers. */ readonly gaveBack?: boolean;
};

export const nothing = { messages: [], turns: [], lags: [], offered: 0, parcels: 0, heldBack: 0, restMs: 0 };

/** Takes up to `parcels` parcels of one queue and claims at most `free` of their messages. */
export async function takeAndClaim(
  name: string,
  alone: boolean,
  want: Wanted,
  ports: ClaimPorts,
): Promise<Taken> {
  const { db, queue, outboxOn, workerId, leaseMs, turns } = ports;
  return db.transaction(async (tx) => {
    const booking = await turns?.get(name)?.(tx, want.free);
    const free = booking?.count ?? want.free;
    const none = { ...nothing, restMs: booking?.restMs ?? 0 };
    if (free === 0) return { ...none, more: true };
    const count = Math.min(want.parcels, free);
    const parcels = await queue.take(tx, name, alone, count);
    if (messagesIn(parcels) === 0)
      return { ...none, parcels: parcels.length, more: parcels.length === count };
    const open = parcels.filter(({ any }) => any !== undefined);
    const opened = want.room && open.length > 0 ? await nameParcels(tx, open) : { named: [], alone: [] };
    const named = [...parcels.filter(({ any }) => any === undefined), ...opened.named];
    const offered = idsIn(named);
    const jobs = want.room ? await jobsAmong(tx, offered, [...want.room.keys()]) : new Map<string, string>();
    const { ids, heldBack } = startable(offered, { ...want, free }, jobs);
    const { begins = free } = want;
    const byName = await outboxOn(tx).claimBatch({ ids, limit: free, begins, leaseMs, workerId });
    const lanes = want.room ? [] : open;
    const fromLanes = await openParcels(tx, lanes, free - ids.length, ports, begins - byName.length);
    const left = [...remainder(named, new Set(ids)), ...opened.alone, ...fromLanes.left];
    const claimed = new Set(byName.map(({ id }) => id));
    const missed = ids.filter((id) => !claimed.has(id));
    const closed = missed.length > 0 && (await giveBack(tx, name, missed));
    if (closed) await giveBack(tx, name, idsIn(left));
    else if (left.length > 0) await queue.send(tx, left);
    const messages = [...byName, ...fromLanes.claimed.map(({ message }) => message)];
    return {
      ...none,
      messages,
      lags: fromLanes.claimed.map(({ lag }) => lag),
      turns: (await booking?.book(messages.length)) ?? [],
      offered: messagesIn(parcels),
      parcels: parcels.length,
      // Of a closed queue no more than one fetch for each poll: a hold is over soon, and then the parcels are wanted where they are.
      more: !closed && (parcels.length === count || left.length > 0),
      heldBack,
      gaveBack: !closed && left.length > 0,
    };
  });
}
