-- The processes of the fleet, what they counted, how many there should be, and what operators were told.

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
  settling     int         not null default 0, -- deliveries that ended and are not recorded yet
  isolating    int         not null default 0, -- it runs a message alone (invariant F), or makes room for one
  stalled      text[]      not null default '{}', -- loops that stand still, by the process's own heartbeat
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  constraint processes_times check (isfinite(started_at) and isfinite(heartbeat_at))
);

-- Counters of the whole fleet. Each process adds what it counted since its last heartbeat, so they outlive it and never go backwards.
create table waybill.counters (
  name   text             not null,
  labels jsonb            not null default '{}',
  value  double precision not null default 0,
  primary key (name, labels),
  constraint counters_values check (jsonb_typeof(labels) = 'object' and value > '-Infinity' and value < 'Infinity')
) with (fillfactor = 50);

-- How many workers each queue needs. Whichever relay or web process comes first decides it, every ten seconds (src/scale/). It is kept here, so
-- that the metric, the admin API, the command and SQL give the same number.
create table waybill.autoscale (
  queue       text        primary key,
  recommended int         not null,
  exact       float8      not null, -- before rounding; never more than `recommended`
  facts       jsonb       not null, -- the figures that led to it, and the reasons in words
  state       jsonb       not null, -- what the next decision needs of the earlier ones
  decided_at  timestamptz not null default now(),
  constraint autoscale_times check (isfinite(decided_at)),
  constraint autoscale_values check (
    recommended >= 0 and exact >= 0 and exact < 'Infinity' and jsonb_typeof(facts) = 'object' and jsonb_typeof(state) = 'object')
) with (fillfactor = 50);

-- One row. The process that updates it makes the next decision.
create table waybill.autoscale_turn (
  one        boolean     primary key default true check (one),
  at         timestamptz not null default to_timestamp(0),
  capacities jsonb       not null default '[]', -- for how many workers there were connections lately
  constraint autoscale_turn_values check (isfinite(at) and jsonb_typeof(capacities) = 'array')
);

insert into waybill.autoscale_turn default values on conflict do nothing;

-- For KEDA's Postgres scaler. With several queues: for processes that work all of them, whose slots they share.
create function waybill.workers_recommended(variadic queues text[]) returns int
  language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(greatest(max(recommended), ceil(sum(exact) - 0.1)), 0)::int from waybill.autoscale where queue = any(queues)
$$;

-- What operators were told by webhook. What is found is compared with this, not with a time: so a transaction that commits late is told too.
create table waybill.notices_told (
  key     text        primary key,
  told_at timestamptz not null default now()
);

create index notices_told_at on waybill.notices_told (told_at);
