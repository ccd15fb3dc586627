-- The fleet: its processes, their counters, the recommended numbers of workers, and the notices that operators got.

create table waybill.processes (
  id           text        primary key, -- host, pid and a random part
  role         text        not null,
  host         text        not null,
  pid          int         not null,
  version      text        not null,
  queues       text[]      not null default '{}',
  slots        int         not null default 0,
  busy         int         not null default 0, -- deliveries that have a slot
  prefetched   int         not null default 0, -- messages claimed before a slot was free
  settling     int         not null default 0, -- deliveries that ended and are not settled yet
  workers      jsonb       not null default '[]', -- queues and counts of each worker, in a process with several
  isolating    int         not null default 0, -- messages that it runs alone (invariant F), or makes room for
  application  text,                 -- version of the application
  settings     jsonb       not null default '{}', -- in force there, without secrets
  quiet_at     timestamptz,          -- a person quieted it: its workers claim nothing more …
  quiet_by     text,
  quiet_reason text,
  quiet_until  timestamptz,          -- … until then; null: until it is resumed or ends
  stalled      text[]      not null default '{}', -- stalled loops, as the process's own heartbeat reports them
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  constraint processes_times check (
    isfinite(started_at) and isfinite(heartbeat_at) and isfinite(coalesce(quiet_at, now())) and isfinite(coalesce(quiet_until, now())))
);

-- When a version began to run of which no other process was alive, kept for 7 days: marks on the bars.
create table waybill.deploys (
  at          timestamptz not null default date_trunc('minute', now()),
  version     text        not null, -- of Waybill
  application text        not null, -- version of the application; empty: not known
  primary key (at, version, application)
);

-- Counters of the whole fleet. At each heartbeat a process adds its new counts, so they outlive the process and never go backwards.
create table waybill.counters (
  name   text             not null,
  labels jsonb            not null default '{}',
  value  double precision not null default 0,
  primary key (name, labels),
  constraint counters_values check (jsonb_typeof(labels) = 'object' and value > '-Infinity' and value < 'Infinity')
) with (fillfactor = 50);

-- How many workers each queue needs. Every ten seconds one relay or web process decides it (src/scale/). It is stored here, so that the metric,
-- the admin API, the command and SQL give the same number.
create table waybill.autoscale (
  queue       text        primary key,
  recommended int         not null,
  exact       float8      not null, -- before rounding; never more than `recommended`
  facts       jsonb       not null, -- the figures that led to it, and the reasons in words
  state       jsonb       not null, -- the part of this decision that the next one needs
  decided_at  timestamptz not null default now(),
  constraint autoscale_times check (isfinite(decided_at)),
  constraint autoscale_values check (
    recommended >= 0 and exact >= 0 and exact < 'Infinity' and jsonb_typeof(facts) = 'object' and jsonb_typeof(state) = 'object')
) with (fillfactor = 50);

-- One row. The process that updates it makes the next decision.
create table waybill.autoscale_turn (
  one        boolean     primary key default true check (one),
  at         timestamptz not null default to_timestamp(0),
  capacities jsonb       not null default '[]', -- for how many workers there were connections in the last ten minutes
  constraint autoscale_turn_values check (isfinite(at) and jsonb_typeof(capacities) = 'array')
);

insert into waybill.autoscale_turn default values on conflict do nothing;

-- For KEDA's Postgres scaler. With several queues, it assumes processes that serve all of them with the same slots.
create function waybill.workers_recommended(variadic queues text[]) returns int
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(greatest(max(recommended), ceil(sum(exact) - 0.1)), 0)::int from waybill.autoscale where queue = any(queues)
$$;

-- Notices that operators got by webhook. New findings are compared with these rows, not with a time, so a transaction that commits late is
-- noticed.
create table waybill.notices_told (
  key     text        primary key,
  told_at timestamptz not null default now()
);

create index notices_told_at on waybill.notices_told (told_at);

-- When each table was last pruned, for people who look at its size.
create table waybill.prunes (
  name text        primary key, -- of the table
  at   timestamptz not null default now(),
  rows int         not null default 0 -- deleted then
);

-- Sums of each minute, for bars without Prometheus (src/operate/series.ts), kept for 7 days.
create table waybill.series (
  at    timestamptz not null, -- start of the minute
  queue text        not null,
  name  text        not null, -- as in src/operate/series.ts
  n     bigint      not null,
  primary key (at, queue, name)
);

-- The minutes that a relay has taken; one that is not here was not seen.
create table waybill.series_minutes (
  at timestamptz primary key
);

-- The audit counters when the last minute was taken.
create table waybill.series_totals (
  queue text   not null,
  name  text   not null,
  total bigint not null,
  primary key (queue, name)
) with (fillfactor = 50);

-- How long the newest deliveries of each queue took, from the claim to the recorded end: 95 of 100 took at most so many seconds. It reads the newest
-- messages, and as many before an id, where a backlog begins. It is a function because stale statistics would let the planner read the whole table.
create function waybill.delivery_times(before uuid, most int, out queue text, out p95 float8, out deliveries int) returns setof record
  language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select r.queue, percentile_disc(0.95) within group (order by greatest(0, extract(epoch from r.delivered_at - r.relayed_at))::float8), count(*)::int
    from (
      (select m.id, m.queue, m.relayed_at, m.delivered_at from waybill.outbox_messages m order by m.id desc limit most)
      union
      (select m.id, m.queue, m.relayed_at, m.delivered_at from waybill.outbox_messages m where m.id < before order by m.id desc limit most)) r
   where r.delivered_at is not null and isfinite(r.delivered_at) and isfinite(r.relayed_at) group by r.queue order by r.queue
$$;
