// The measurements behind the advice: two queries in the statement that takes the turn. Backlogs are counted up to a bound (invariant I).

import { isNotGone } from '../db/liveness.ts';
import { inFlight, isPaused, waits } from '../outbox/waiting.ts';
import { workersOf } from '../metrics/workers.ts';
import { perSecond } from '../queues/rate.ts';

/** Counting more costs more than it is worth. */
const countable = 100_000;
/** Queues at most; the metrics distinguish as many. */
const most = 100;

/** Each row is a QueueLook. Value: slots of a worker, for queues that no worker serves yet. */
export const measureSql = `
  with alive as (
    ${workersOf(`(select * from waybill.processes where ${isNotGone} and slots > 0)`)}),
  worked as (
    select queue, count(*)::int as workers, avg(slots)::float8 as slots from alive, unnest(queues) as queue group by queue),
  ended as (
    select queue, sum(n) as n, sum(seconds) as seconds from (
      select labels ->> 'queue' as queue, case when name = 'waybill_deliveries_total' then value else 0 end as n,
             case when name = 'waybill_slot_seconds_total' then value else 0 end as seconds
        from waybill.counters where name in ('waybill_deliveries_total', 'waybill_slot_seconds_total')
      union all
      select queue, n, 0 from waybill.outbox_audit where outcome = any('{delivered,retried,dead,released}')) c group by queue),
  flight as (
    select queue, count(*) filter (where status = 'sending')::int as sending, count(*) filter (where status <> 'sending')::int as ready,
           coalesce(avg(extract(epoch from now() - claimed_at)) filter (where status = 'sending'), 0)::float8 as age
      from waybill.outbox_messages
     where ${inFlight()} group by queue),
  names as (select name from waybill.queues union select queue from flight union select queue from worked order by 1 limit ${most})
  select n.name as queue,
         (select coalesce(json_agg(distinct other), '[]') from alive a, unnest(a.queues) as other
           where n.name = any(a.queues) and other <> n.name) as "sharedWith", extract(epoch from now())::float8 as at,
         coalesce(f.ready, 0) + (
           select count(*)::int from (
             select from waybill.outbox_messages m
              where ${waits('m.')} and m.queue = n.name and m.available_at <= now()
              limit ${countable}) waiting) as backlog,
         coalesce(f.sending, 0) as sending, coalesce(f.age, 0) as "sendingAge", coalesce(e.n, 0) as ended, coalesce(e.seconds, 0) as "slotSeconds",
         coalesce(w.workers, 0) as workers, coalesce(w.slots, $1) as "slotsPerWorker", ${perSecond('q.')} as rate,
         (q.limits ->> 'concurrency')::int as concurrency, (q.limits ->> 'concurrencyPerProcess')::int as "perProcess",
         (q.limits ->> 'groupConcurrency')::int as "perGroup",
         case when q.limits -> 'groupConcurrency' <> 'null' then (
           select count(distinct coalesce(group_key, ''))::int from (
             select group_key from waybill.outbox_messages m
              where ${waits('m.')} and m.queue = n.name and m.available_at <= now()
              limit ${countable}) waiting) end as groups,
         coalesce(${isPaused('q.')} or q.parked_at is not null or q.held_until > now(), false) as closed
    from names n left join flight f on f.queue = n.name left join ended e on e.queue = n.name
    left join worked w on w.queue = n.name left join waybill.queues q on q.name = n.name
   order by n.name`;

/** Each row is a Connections. */
export const connectionsSql = `
  select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
         (select coalesce(sum(numbackends), 0)::int from pg_stat_database) as used, -- told to every role, unlike pg_stat_activity
         (select count(*)::int from waybill.processes where ${isNotGone} and slots > 0) as workers`;
