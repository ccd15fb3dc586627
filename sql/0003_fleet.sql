-- The processes of the fleet, and what they counted.

create table waybill.processes (
  id           text        primary key, -- host, pid and a random part
  role         text        not null,
  host         text        not null,
  pid          int         not null,
  version      text        not null,
  queues       text[]      not null default '{}',
  slots        int         not null default 0,
  busy         int         not null default 0,
  started_at   timestamptz not null default now(),
  heartbeat_at timestamptz not null default now()
);

-- Counters of the whole fleet: each process adds what it counted since its last heartbeat,
-- so they outlive it and never go backwards.
create table waybill.counters (
  name   text             not null,
  labels jsonb            not null default '{}',
  value  double precision not null default 0,
  primary key (name, labels)
) with (fillfactor = 50);
