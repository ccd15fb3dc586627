// What the database itself knows of the fleet, at the moment of the scrape. Live states only: their number is the backlog, not the history.

import type { Executor } from '../db/executor.ts';
import { gaugeText } from './text.ts';

/** One row, one round trip: each column a JSON list of samples. */
export const gaugesSql = `
  with live as (
    select kind, status, queue, available_at from waybill.outbox_messages where relayed_at is null and cancelled_at is null
    union all
    select kind, status, queue, available_at from waybill.outbox_messages
     where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null),
  alive as (select * from waybill.processes where heartbeat_at > now() - interval '30 seconds'),
  gates as (
    select name, paused_at is not null as paused, parked_at is not null as parked, coalesce(held_until > now(), false) as held
      from waybill.queues order by (paused_at is not null or parked_at is not null or held_until > now()) desc nulls last, name limit 100),
  slots as (select queue, sum(slots) as slots, sum(busy) as busy from alive, unnest(queues) as queue group by queue)
  select
    (select json_agg(json_build_object('labels', json_build_object('kind', kind, 'status', status), 'value', n))
       from (select kind, status, count(*) as n from live group by kind, status) x) as messages,
    (select json_agg(json_build_object('labels', json_build_object('queue', queue), 'value', age))
       from (select queue, extract(epoch from now() - min(available_at)) as age from live
              where available_at <= now() and status <> 'sending' group by queue order by age desc limit 100) x) as oldest,
    (select json_agg(json_build_object('labels', json_build_object('kind', kind), 'value', n))
       from (select kind, sum(recorded) as n from waybill.outbox_ledger group by kind) x) as recorded,
    (select json_agg(json_build_object('labels', json_build_object('role', role), 'value', n))
       from (select role, count(*) as n from alive group by role) x) as processes,
    (select json_agg(json_build_object('labels', json_build_object('queue', queue), 'value', slots)) from slots) as slots,
    (select json_agg(json_build_object('labels', json_build_object('queue', queue), 'value', busy)) from slots) as busy,
    (select json_agg(json_build_object('labels', json_build_object('queue', name), 'value', paused::int)) from gates) as paused,
    (select json_agg(json_build_object('labels', json_build_object('queue', name), 'value', parked::int)) from gates) as parked,
    (select json_agg(json_build_object('labels', json_build_object('queue', name), 'value', held::int)) from gates) as held,
    (select json_agg(json_build_object('labels', json_build_object('version', version), 'value', 1))
       from (select distinct version from alive) x) as versions`;

type Samples = { readonly labels: Record<string, string>; readonly value: number }[] | null;
type Row = Record<
  | 'messages'
  | 'oldest'
  | 'recorded'
  | 'processes'
  | 'slots'
  | 'busy'
  | 'paused'
  | 'parked'
  | 'held'
  | 'versions',
  Samples
>;

export async function fleetGauges(db: Executor): Promise<string> {
  const [row] = (await db.executeSql<Row>(gaugesSql)).rows;
  const told: readonly [keyof Row, string, string, string?][] = [
    ['messages', 'outbox_messages', 'Messages that are not settled, by kind and status'],
    ['oldest', 'outbox_oldest_due_seconds', 'Age of the oldest message that is due and not being delivered'],
    ['recorded', 'outbox_recorded_total', 'Messages ever recorded', 'counter'],
    ['processes', 'processes', 'Processes with a heartbeat in the last 30 s'],
    ['slots', 'worker_slots', 'Deliveries that the workers of a queue can run at a time'],
    ['busy', 'worker_busy_slots', 'Deliveries that they run now'],
    ['paused', 'queue_paused', '1 while a person has paused the queue for the whole fleet'],
    [
      'parked',
      'queue_parked',
      '1 while an operator failure keeps the queue parked: somebody has to mend something',
    ],
    ['held', 'queue_held', '1 while the far side wants everybody to wait'],
    ['versions', 'build_info', 'Versions that run'],
  ];
  return told
    .map(([key, name, help, type]) => gaugeText(`waybill_${name}`, help, row?.[key] ?? [], type))
    .join('');
}
