// The number of messages in each state and queue, and how long the oldest due message has waited.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';
import { statuses, type Status } from '../message/message.ts';
import { inFlight, waits } from '../outbox/waiting.ts';

type Live = 'pending' | 'sending' | 'failed';

export type Stats = {
  readonly byStatus: Readonly<Record<Status, number>>;
  /** Live states only: settled messages count for no queue. */
  readonly byQueue: Readonly<Record<string, Readonly<Record<Live, number>>>>;
  /** How long the oldest due message has waited; null when none is due. */
  readonly oldestDueSeconds: number | null;
  readonly oldestDueSecondsByQueue: Readonly<Record<string, number>>;
};

/**
 * Live, dead and cancelled messages are counted in their partial indexes, the waiting ones without a look at their rows. Delivered ones may be millions, so their number is computed: all
 * recorded messages minus all others, in the same snapshot (invariant I).
 */
export const statsSql = `
  with live as (
    select queue, status, available_at, ends from waybill.outbox_messages where ${waits()}
    union all
    select queue, status, available_at, ends from waybill.outbox_messages
     where ${inFlight()}),
  queues as (
    select queue, count(*) filter (where status = 'pending')::int as pending, count(*) filter (where status = 'sending')::int as sending,
           count(*) filter (where status = 'failed')::int as failed,
           extract(epoch from now() - min(available_at) filter (where status <> 'sending' and available_at <= now() and isfinite(available_at)))::float8 as "oldest"
      from live group by queue),
  audit as (
    select (coalesce(sum(recorded), 0) - coalesce(sum(n) filter (where outcome like 'pruned %'), 0)
            + (select count(*) from live where ends = 0))::float8 as kept from waybill.outbox_audit),
  settled as (
    select (select count(*) from waybill.outbox_messages where dead_at is not null)::int as dead,
           (select count(*) from waybill.outbox_messages where cancelled_at is not null)::int as cancelled)
  select audit.kept, settled.dead, settled.cancelled, coalesce((select jsonb_agg(q order by q.queue) from queues q), '[]') as queues
    from audit, settled`;

type QueueRow = Record<Live, number> & { queue: string; oldest: number | null };
type Row = { kept: number; dead: number; cancelled: number; queues: QueueRow[] };

export async function readStats(db: Executor): Promise<Stats> {
  const { rows } = await db.executeSql<Row>(statsSql);
  const { kept, dead, cancelled, queues } = rows[0]!;
  const total = (status: Live): number => queues.reduce((sum, queue) => sum + queue[status], 0);
  const [pending, sending, failed] = [total('pending'), total('sending'), total('failed')];
  const delivered = kept - pending - sending - failed - dead - cancelled;
  const all = { pending, sending, failed, delivered, dead, cancelled };
  const due = queues.flatMap(({ queue, oldest }) => (oldest === null ? [] : [[queue, oldest] as const]));
  return {
    byStatus: byStatus((status) => all[status]),
    byQueue: Object.fromEntries(
      queues.map(({ queue, pending, sending, failed }) => [queue, { pending, sending, failed }]),
    ),
    oldestDueSeconds: due.length > 0 ? Math.max(...due.map(([, age]) => age)) : null,
    oldestDueSecondsByQueue: Object.fromEntries(due),
  };
}

export type Unsettled = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly status: Live;
  readonly attempts: number;
  readonly lastError: string | null;
};

/** Up to ten messages that are in flight, or due within the given milliseconds. */
export const unsettledSql = `
  with live as (
    select id, kind, name, status, attempts, last_error, available_at from waybill.outbox_messages
     where ${waits()} and delivered_at is null and dead_at is null
    union all
    select id, kind, name, status, attempts, last_error, available_at from waybill.outbox_messages
     where ${inFlight()})
  select id, kind, name, status, attempts, last_error as "lastError" from live
   where status = 'sending' or available_at <= now() + $1 * interval '1 millisecond' limit 10`;

export async function readUnsettled(db: Executor, withinMs: Milliseconds): Promise<Unsettled[]> {
  return (await db.executeSql<Unsettled>(unsettledSql, [withinMs])).rows;
}

/** Counts every row; for test databases. */
export async function countStatuses(db: Executor): Promise<Record<Status, number>> {
  const { rows } = await db.executeSql<{ status: Status; messages: number }>(
    'select status, count(*)::int as messages from waybill.outbox_messages group by status',
  );
  const counted = new Map(rows.map(({ status, messages }) => [status, messages]));
  return byStatus((status) => counted.get(status) ?? 0);
}

function byStatus(countOf: (status: Status) => number): Record<Status, number> {
  return Object.fromEntries(statuses.map((status) => [status, countOf(status)])) as Record<Status, number>;
}
