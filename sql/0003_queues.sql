-- Queues: what closes each, for the whole fleet. A person pauses it, the system parks it after an operator failure, or it is held until the time
-- that the provider named. Relay and claims read this table (src/outbox/waiting.ts); a queue without a row is open.

create table waybill.queues (
  name          text        primary key,

  paused_at     timestamptz,
  paused_by     text,
  paused_reason text,

  parked_at     timestamptz,
  parked_by     text,
  parked_reason text,
  probe_at      timestamptz,              -- no probe before this time
  probe_ms      float8,                   -- the interval before it, in ms; kept after reopening, in case the queue is parked again soon
  probes        int         not null default 0, -- failed probes since it was parked
  probe_message uuid,                     -- the message that is the probe, while it is claimed
  probed        uuid[]      not null default '{}', -- met an operator failure since it was parked; the next probe is another message
  -- Messages that may have caused their failure themselves. One that fails again while others pass does not close the queue (src/queues/park.ts).
  maybe_own     uuid[]      not null default '{}',
  reopened_at   timestamptz,              -- the failure of an attempt claimed before this time does not park the queue again

  held_at       timestamptz,
  held_until    timestamptz,
  held_reason   text,

  rate          float8,                   -- messages per second over the whole fleet, set by the worker that started last

  constraint queues_parked check (parked_at is null or probe_at is not null),
  constraint queues_rate check (rate > 0),
  constraint queues_rate_finite check (rate < 'Infinity' and probe_ms < 'Infinity'), -- NaN sorts above every number
  constraint queues_times check (
    isfinite(coalesce(paused_at, now())) and isfinite(coalesce(parked_at, now())) and isfinite(coalesce(probe_at, now()))
    and isfinite(coalesce(reopened_at, now())) and isfinite(coalesce(held_at, now()))
    and isfinite(coalesce(held_until, now())))
);

-- The standard queues. A worker adds its own queues when it starts.
insert into waybill.queues (name) values ('email'), ('events'), ('jobs') on conflict do nothing;

-- A rate of 10 per second is 10 permits. After one delivery a permit is not available for a second (src/queues/rate.ts).
create table waybill.queue_permits (
  queue   text        not null,
  n       int         not null,
  slot_at timestamptz not null default to_timestamp(0), -- the time that it was last booked for
  free_at timestamptz not null default to_timestamp(0), -- not available before this time
  primary key (queue, n),
  constraint queue_permits_times check (isfinite(slot_at) and isfinite(free_at)) -- Postgres before 17 cannot subtract infinite times
) with (fillfactor = 50);
