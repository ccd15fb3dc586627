// What stands beside the messages of a shop: attempts that failed, answers of the mail server, counters, sums of minutes, acts of people, runs of cron
// jobs, processes. The statements run in this order, after the messages.

/** Every attempt that failed: all of a dead or retried message, the first of a message that was delivered at the second. */
const attempts = `
  insert into waybill.outbox_attempts (message_id, attempt, started_at, finished_at, worker, outcome, error, stack)
  select m.id, a, m.created_at + a * a * interval '1 second', m.created_at + a * a * interval '1 second' + interval '80 ms', 'shop-1:4711:a1b2c3',
         case when m.status = 'dead' and a = m.attempts then 'dead' when a = 1 and m.kind = 'email' and m.attempts = 4 then 'ambiguous' else 'retried' end,
         coalesce(m.last_error, 'connect ETIMEDOUT 10.0.0.7:443'),
         'Error: ' || coalesce(m.last_error, 'connect ETIMEDOUT 10.0.0.7:443') || E'\\n    at sync (file:///srv/app/crm.ts:41:11)'
    from waybill.outbox_messages m cross join lateral generate_series(1, m.attempts - (m.status = 'delivered')::int) a
   where m.attempts > (m.status = 'delivered')::int and m.status in ('delivered', 'failed', 'dead')`;

const notes = `
  insert into waybill.outbox_notes (message_id, at, type, recipient, detail, reference)
  select m.id, m.delivered_at, 'accepted', m.payload #>> '{to,0,address}', '250 2.0.0 OK', '<' || m.id || '@shop.example>'
    from waybill.outbox_messages m where m.kind = 'email' and m.delivered_at is not null`;

/** Folded, as the pruning leaves it, and some thousand rows of the time since. */
const counters = `
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, status, count(*), count(*) filter (where ends = 1) from waybill.outbox_messages
   where status in ('delivered', 'dead', 'cancelled') group by 1, 2, 3
  union all
  select m.kind, m.queue, 'retried', count(*), count(*) filter (where a.attempt = 1 and (m.ends > 1 or m.status = 'failed'))
    from waybill.outbox_attempts a join waybill.outbox_messages m on m.id = a.message_id where a.outcome in ('retried', 'ambiguous') group by 1, 2
  union all
  select 'job', 'jobs', 'delivered', 0, 0 from generate_series(1, 3000)`;

const pruned = `
  insert into waybill.outbox_keys (kind, name, delivery_key, message_id, pruned_at)
  select 'email', 'email', 'receipt-old-' || n, gen_random_uuid(), now() - interval '7 days' - n * interval '6 s' from generate_series(1, $1 / 10) n`;

const series = `
  insert into waybill.series (at, queue, name, n)
  select date_trunc('minute', s.at), s.queue, s.name, count(*) from (
    select delivered_at as at, queue, 'delivered' as name from waybill.outbox_messages where delivered_at is not null
    union all select created_at, queue, 'recorded' from waybill.outbox_messages
    union all select dead_at, queue, 'dead' from waybill.outbox_messages where dead_at is not null
    union all select a.finished_at, m.queue, 'retried' from waybill.outbox_attempts a join waybill.outbox_messages m on m.id = a.message_id) s
   group by 1, 2, 3`;
const minutes = `
  insert into waybill.series_minutes (at) select generate_series(date_trunc('minute', now() - interval '7 days'), date_trunc('minute', now()) - interval '1 minute', '1 minute')`;

const acts = `
  insert into waybill.audit (at, by, key, via, act, target, count, reason)
  select now() - (20000 - n) * interval '2 minutes', (array['ann', 'ben', 'cleo', 'deploy'])[1 + n % 4], 'ops', (array['console', 'cli', 'http'])[1 + n % 3],
         case when n % 10 < 6 then 'message.retry' when n % 10 < 8 then 'message.cancel' else 'queue.pause' end,
         case when n % 10 < 8 then (select m.id::text from waybill.outbox_messages m where m.id > (lpad(to_hex((extract(epoch from now() - interval '7 days') * 1000)::bigint + n * 30000), 12, '0')
                || '70000000000000000000')::uuid order by m.id limit 1) else 'crm' end,
         case when n % 10 < 8 then 1 end, 'deploy v' || n
    from generate_series(1, 20000) n`;

const runs = `
  insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, finished_at, status, error, manifest)
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7000' || '8' || lpad(to_hex(n * 10 + j), 15, '0'))::uuid, 'job-' || j, 'sum-day', 'cron',
         at, at, at + interval '2 seconds', case when n % 97 = 0 then 'failed' else 'succeeded' end, case when n % 97 = 0 then 'timed out' end, 'shop'
    from generate_series(0, 5) j cross join lateral (
      select n, date_trunc('minute', now()) - n * interval '5 minutes' as at from generate_series(1, 5000) n) t`;

const suppressed = `
  insert into waybill.email_suppressions (address, reason, since)
  select format('gone%s@customers.example', n), case when n % 5 = 0 then 'complaint' else 'bounce' end, now() - n * interval '20 minutes'
    from generate_series(1, 5000) n`;

const bulk = `
  insert into waybill.bulk_acts (id, action, filter, is_walked, state, matched, at_least, changed, by, via, reason, created_at, started_at, worked_at, ended_at)
  select gen_random_uuid(), 'retry', '{"queue": ["crm"], "status": ["dead"]}', true, 'done', 3000, false, 2990, 'ann', 'console', 'their API is back', at, at, at, at
    from (select now() - n * interval '3 hours' as at from generate_series(1, 200) n) t`;

const queues = `
  insert into waybill.queues (name) values ('crm'), ('invoices') on conflict do nothing;
  update waybill.queues set paused_at = now() - interval '2 hours', paused_by = 'ben', paused_reason = 'the tax service is away' where name = 'invoices'`;

/** Values, where there are any: the number of messages. */
export const besideSql: Readonly<Record<string, string>> = {
  attempts,
  notes,
  counters,
  pruned,
  series,
  minutes,
  acts,
  runs,
  suppressed,
  bulk,
  queues,
};

/** What depends on the time of the day: processes that live, claims that hold. */
export const freshSql = `
  delete from waybill.processes;
  insert into waybill.processes (id, role, host, pid, version, queues, slots, busy)
  select format('shop-%s:%s:a1b2c3', n, 4710 + n), role, 'shop-' || n, 4710 + n, 'v214', queues::text[], slots, slots / 4
    from (values (1, 'jobs', '{jobs,crm,invoices,events}', 25), (2, 'jobs', '{jobs,crm,invoices,events}', 25), (3, 'email', '{email}', 25), (4, 'relay', '{}', 0),
      (5, 'relay', '{}', 0), (6, 'scheduler', '{}', 0), (7, 'web', '{}', 0), (8, 'web', '{}', 0)) as p(n, role, queues, slots);
  update waybill.outbox_messages set claimed_at = now(), claimed_until = now() + interval '12 hours', revision = revision + 1 where status = 'sending'`;
