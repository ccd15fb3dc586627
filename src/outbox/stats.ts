// How many messages are in which state, by queue, and how long the oldest due one has waited.

import type { Executor } from '../db/executor.ts';
import { statuses, type Status } from './message.ts';

export type QueueStats = {
  readonly queue: string;
  readonly pending: number;
  readonly sending: number;
  readonly failed: number;
  /** Of the message that has been due for the longest; null when none is due. */
  readonly oldestDueAgeSeconds: number | null;
};

export type Stats = {
  readonly byStatus: Readonly<Record<Status, number>>;
  /** Live states only: what is settled belongs to no queue any more. */
  readonly byQueue: readonly QueueStats[];
  readonly oldestDueAgeSeconds: number | null;
};

/**
 * Live and dead messages are counted through their partial indexes. Delivered ones are not counted at all, for there may be
 * millions: they are what the ledger says was recorded, less everything else, in the same snapshot (invariant I).
 */
export const statsSql = `
  with live as (
    select queue, status, available_at from waybill.outbox_messages where relayed_at is null and cancelled_at is null
       and delivered_at is null and dead_at is null
    union all
    select queue, status, available_at from waybill.outbox_messages
     where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null),
  queues as (
    select queue, count(*) filter (where status = 'pending')::int as pending, count(*) filter (where status = 'sending')::int as sending,
           count(*) filter (where status = 'failed')::int as failed,
           extract(epoch from now() - min(available_at) filter (where status <> 'sending' and available_at <= now()))::float8 as "oldestDueAgeSeconds"
      from live group by queue),
  books as (
    select coalesce(sum(recorded - pruned_delivered - pruned_dead - pruned_cancelled), 0)::int as kept from waybill.outbox_ledger),
  settled as (
    select (select count(*) from waybill.outbox_messages where dead_at is not null)::int as dead,
           (select count(*) from waybill.outbox_messages where cancelled_at is not null)::int as cancelled)
  select books.kept, settled.dead, settled.cancelled, coalesce((select jsonb_agg(q order by q.queue) from queues q), '[]') as queues
    from books, settled`;

type Row = { kept: number; dead: number; cancelled: number; queues: QueueStats[] };

export async function stats(db: Executor): Promise<Stats> {
  const { rows } = await db.executeSql<Row>(statsSql);
  const { kept, dead, cancelled, queues } = rows[0]!;
  const total = (status: 'pending' | 'sending' | 'failed'): number => queues.reduce((sum, queue) => sum + queue[status], 0);
  const counted = { pending: total('pending'), sending: total('sending'), failed: total('failed'), dead, cancelled };
  const delivered = kept - Object.values(counted).reduce((sum, n) => sum + n, 0);
  const all: Record<Status, number> = { ...counted, delivered };
  const ages = queues.flatMap((queue) => queue.oldestDueAgeSeconds ?? []);
  return {
    byStatus: Object.fromEntries(statuses.map((status) => [status, all[status]])) as Record<Status, number>,
    byQueue: queues,
    oldestDueAgeSeconds: ages.length > 0 ? Math.max(...ages) : null,
  };
}
