-- What holds a queue back, for the whole fleet: paused by a person, parked by an operator failure, held because the far side asked
-- everybody to wait. The relay and every claim look here (src/outbox/gate.ts); a queue without a row is open.

create table waybill.queues (
  name          text        primary key,
  paused_at     timestamptz,
  paused_by     text,
  paused_reason text,
  parked_at     timestamptz,
  parked_by     text,
  parked_reason text,
  probe_at      timestamptz,              -- no probe before this
  probe_ms      float8,                   -- the interval that led to it; outlives the parking, for one that is parked again at once
  probes        int         not null default 0, -- failed ones since it was parked
  probe_message uuid,                     -- has the right to be the probe …
  probe_until   timestamptz,              -- … until this, or for as long as a worker holds its lease
  reopened_at   timestamptz,              -- failures of attempts that were claimed before this are old news
  held_at       timestamptz,
  held_until    timestamptz,
  held_reason   text,
  rate          float8,                   -- messages per second over the whole fleet, as the worker that started last was told
  constraint queues_parked check (parked_at is null or probe_at is not null),
  constraint queues_rate check (rate > 0)
);

-- Those that every fleet has; a worker adds its own when it starts.
insert into waybill.queues (name) values ('email'), ('events'), ('jobs') on conflict do nothing;

-- A rate of 10 a second is 10 permits, each good for one delivery and then not for a second (src/outbox/rate.ts).
create table waybill.queue_permits (
  queue   text        not null,
  n       int         not null,
  slot_at timestamptz not null default to_timestamp(0), -- when it was to be used the last time
  free_at timestamptz not null default to_timestamp(0), -- not used before this
  primary key (queue, n)
) with (fillfactor = 50);
