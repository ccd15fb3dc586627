// Gauges that the database gives at the moment of the scrape. They read live states only: their number is the backlog, not the history (invariant I).
// Every known label set has a sample, 0 if there is nothing, because an alert cannot tell "none" from "absent".

import type { Executor } from '../db/executor.ts';
import { isNotGone } from '../db/liveness.ts';
import { blocksKey } from '../outbox/order.ts';
import { isGroupClosed, isGroupMarked, isOpen, isPaused, inFlight, waits } from '../outbox/waiting.ts';
import { limitColumns, limitFacts } from './limit-gauges.ts';
import { providerColumns, providerFacts } from './provider-gauges.ts';
import { rolesOf, standstillFacts } from './standstills.ts';
import { gaugeText } from './text.ts';
import { workersOf } from './workers.ts';

/** The label `queue` has at most this many values: closed queues first, then those with the oldest due message. */
const most = 100;

/** Blocked order keys are counted up to this many: more would let Postgres read the table. */
const mostBlocked = 1_000;

/** The label `name` has at most this many values: the definitions with the most unsettled messages. */
const mostNames = 20;

/** A sample for each queue of the list. */
const perQueue = (value: string, from: string): string =>
  `(select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', ${value}) order by n.name)
      from names n left join ${from} on x.name = n.name)`;

/** One row, one round trip: each column a JSON list of samples. */
export const gaugesSql = `
  with shut as (select queue, group_key from waybill.queue_groups where ${isGroupMarked} and ${isGroupClosed()}),
  live as (
    select kind, name, status, queue, available_at, claimed_at, ends, true as waiting,
           group_key is not null and (queue, group_key) in (select queue, group_key from shut) as shut from waybill.outbox_messages where ${waits()}
    union all
    select kind, name, status, queue, available_at, claimed_at, ends, false, false from waybill.outbox_messages
     where ${inFlight()}),
  grouped as (
    select kind, name, status, queue, waiting, count(*) as n, count(*) filter (where ends = 0) as unended,
           count(*) filter (where available_at <= now()) as due, count(*) filter (where available_at <= now() and not shut) as open,
           min(available_at) filter (where available_at <= now() and not shut and isfinite(available_at) and status <> 'sending') as oldest,
           min(claimed_at) filter (where status = 'sending' and isfinite(claimed_at)) as running_since
      from live group by kind, name, status, queue, waiting),
  by_queue as (
    select queue as name, coalesce(sum(due) filter (where waiting), 0) as waiting,
           coalesce(sum(open) filter (where waiting and ${isOpen('queue')}), 0) as ready,
           extract(epoch from now() - min(oldest)) as age, extract(epoch from now() - min(running_since)) as running
      from grouped group by queue),
  alive as (
    select version, queues, slots, busy, prefetched, settling, isolating, workers,
           ${rolesOf} as roles
      from waybill.processes where ${isNotGone}),
  gates as (
    select name, ${isPaused()} as paused, parked_at is not null as parked, coalesce(held_until > now(), false) as held
      from waybill.queues),
  worked as (
    select queue as name, sum(slots) as slots, sum(busy) as busy, sum(prefetched) as prefetched, sum(settling) as settling,
           sum(isolating) as isolating, count(*) as workers
      from (${workersOf('alive')}) w, unnest(queues) as queue group by queue),
  blocked as (
    select queue as name, count(distinct order_key) as keys from (
      select queue, order_key from waybill.outbox_messages where ${blocksKey()} order by dead_at limit ${mostBlocked}) b
     group by queue),
  names as (
    select name from (select name from gates union select name from by_queue union select name from worked union select name from blocked) k
      left join gates g using (name) left join by_queue b using (name)
     order by (g.paused or g.parked or g.held) desc nulls last, b.age desc nulls last, name limit ${most})
  select
    (select json_agg(json_build_object('labels', json_build_object('kind', k, 'status', s), 'value',
              coalesce((select sum(n) from grouped where kind = k and status = s), 0)))
       from unnest('{email,event,listener,job,action}'::text[]) k, unnest('{pending,sending,failed}'::text[]) s) as messages,
    ${perQueue('coalesce(x.age, 0)', 'by_queue x')} as oldest,
    ${perQueue('coalesce(x.running, 0)', 'by_queue x')} as running_oldest,
    ${perQueue('coalesce(x.waiting, 0)', 'by_queue x')} as waiting,
    ${perQueue('coalesce(x.ready, 0)', 'by_queue x')} as ready,
    (select json_agg(json_build_object('labels', json_build_object('kind', kind, 'name', name), 'value', n))
       from (select kind, name, sum(n) as n from grouped group by kind, name order by sum(n) desc, kind, name limit ${mostNames}) x) as names,
    (select json_agg(json_build_object('labels', json_build_object('kind', k), 'value',
              coalesce((select sum(recorded) from waybill.outbox_audit where kind = k), 0)
              + coalesce((select sum(unended) from grouped where kind = k), 0)))
       from unnest('{email,event,listener,job,action}'::text[]) k) as recorded,
    (select json_agg(json_build_object('labels', json_build_object('role', r), 'value',
              (select count(*) from alive where r = any(roles))))
       from unnest('{web,relay,email,jobs,scheduler}'::text[]) r) as processes,
    ${perQueue('coalesce(x.slots, 0)', 'worked x')} as slots,
    ${perQueue('coalesce(x.busy, 0)', 'worked x')} as busy,
    ${perQueue('coalesce(x.prefetched, 0)', 'worked x')} as prefetched,
    ${perQueue('coalesce(x.settling, 0)', 'worked x')} as settling,
    ${perQueue('coalesce(x.isolating, 0)', 'worked x')} as isolating,
    ${perQueue('coalesce(x.workers, 0)', 'worked x')} as workers,
    ${perQueue('coalesce(x.recommended, 0)', '(select queue as name, recommended from waybill.autoscale) x')} as recommended,
    ${perQueue('coalesce(x.paused, false)::int', 'gates x')} as paused,
    ${perQueue('coalesce(x.parked, false)::int', 'gates x')} as parked,
    ${perQueue('coalesce(x.held, false)::int', 'gates x')} as held,
    ${providerColumns},
    ${perQueue('coalesce(x.keys, 0)', 'blocked x')} as blocked,
    ${perQueue('coalesce(x.n, 0)', '(select queue as name, count(*) as n from waybill.queue_groups where parked_at is not null group by queue) x')} as groups_parked,
    ${limitColumns},
    (select json_agg(json_build_object('labels', json_build_object('job', name), 'value', greatest(0, extract(epoch from now() - next_at))))
       from (select name, next_at from waybill.cron_jobs order by next_at limit ${most}) x) as overdue,
    (select json_agg(json_build_object('labels', json_build_object(), 'value', age))
       from (select coalesce(extract(epoch from max(now() - xact_start)), 0) as age from pg_stat_activity
              where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) x) as transaction,
    (select json_agg(json_build_object('labels', json_build_object('version', version), 'value', 1))
       from (select distinct version from alive order by version limit ${most}) x) as versions`;

type Samples = { readonly labels: Record<string, string>; readonly value: number }[] | null;

/** A figure that the scrape reads from the database. `key` is its column. */
export type GaugeFact = {
  readonly key: string;
  readonly name: string;
  readonly help: string;
  readonly type: 'gauge' | 'counter';
  readonly labels: readonly string[];
};

const fact = (
  key: string,
  name: string,
  labels: readonly string[],
  help: string,
  type: GaugeFact['type'] = 'gauge',
): GaugeFact => ({ key, name: `waybill_${name}`, help, type, labels });

const outboxFacts: readonly GaugeFact[] = [
  fact(
    'messages',
    'outbox_messages',
    ['kind', 'status'],
    'Messages that are not settled, by kind and status',
  ),
  fact(
    'oldest',
    'outbox_oldest_due_seconds',
    ['queue'],
    'Age of the oldest message that is due and not being delivered',
  ),
  fact(
    'running_oldest',
    'running_oldest_seconds',
    ['queue'],
    'How long the message that has been claimed the longest has been claimed',
  ),
  fact(
    'names',
    'outbox_messages_by_name',
    ['kind', 'name'],
    'Messages that are not settled, of the 20 names that have the most',
  ),
  fact('recorded', 'outbox_recorded_total', ['kind'], 'Messages ever recorded', 'counter'),
  fact('waiting', 'queue_waiting', ['queue'], 'Messages that are due and not claimed, also in closed queues'),
  fact('ready', 'queue_ready', ['queue'], 'Messages that a worker may claim now: due, in an open queue'),
  fact(
    'processes',
    'processes',
    ['role'],
    'Processes with a heartbeat in the last 30 s; one with several roles counts for each',
  ),
  fact('slots', 'worker_slots', ['queue'], 'Deliveries that the workers of a queue can run at a time'),
  fact('busy', 'worker_busy_slots', ['queue'], 'Deliveries that they run now, the same as worker_running'),
  fact('busy', 'worker_running', ['queue'], 'Deliveries that its workers run now'),
  fact(
    'prefetched',
    'worker_prefetched',
    ['queue'],
    'Messages that its workers claimed before a slot was free',
  ),
  fact(
    'settling',
    'worker_settling',
    ['queue'],
    'Messages whose delivery is over, and whose end is not recorded yet',
  ),
  fact(
    'isolating',
    'worker_isolating',
    ['queue'],
    'Its workers that run a message alone, because it may kill its process, or make room for one',
  ),
  fact('workers', 'workers', ['queue'], 'Processes that work a queue'),
  fact(
    'recommended',
    'workers_recommended',
    ['queue'],
    'Processes that should work it, by what comes, how long it takes and what waits; GET /admin/autoscale has the reasons',
  ),
  fact('paused', 'queue_paused', ['queue'], '1 while a person has paused the queue for the whole fleet'),
  fact(
    'parked',
    'queue_parked',
    ['queue'],
    '1 while an operator failure keeps the queue parked: somebody has to mend something',
  ),
  ...limitFacts,
  fact('held', 'queue_held', ['queue'], '1 while the provider wants everybody to wait'),
  fact('blocked', 'order_keys_blocked', ['queue'], 'Order keys that wait for a person: a message is dead'),
  fact('groups_parked', 'queue_groups_parked', ['queue'], 'Groups that failed for too long and are parked'),
  fact(
    'overdue',
    'cron_overdue_seconds',
    ['job'],
    'How long the next tick of a job has been due and not dispatched',
  ),
  fact(
    'transaction',
    'database_oldest_transaction_seconds',
    [],
    'Age of the oldest open transaction of this database: it keeps vacuum from cleaning up',
  ),
  fact('versions', 'build_info', ['version'], 'Versions that run'),
  ...providerFacts,
];

export const gaugeFacts: readonly GaugeFact[] = [...outboxFacts, ...standstillFacts];

export async function fleetGauges(db: Executor): Promise<string> {
  const [row] = (await db.executeSql<Record<string, Samples>>(gaugesSql)).rows;
  return outboxFacts
    .map(({ key, name, help, type }) => gaugeText(name, help, row?.[key] ?? [], type))
    .join('');
}
