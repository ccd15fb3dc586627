-- What holds a queue back, for the whole fleet: paused by a person, parked by the system after an operator failure, held until the time that
-- the provider named. Relay and claims look here (src/outbox/waiting.ts); a queue without a row is open.

create table waybill.queues (
  name          text        primary key,

  paused_at     timestamptz,
  paused_by     text,
  paused_reason text,

  parked_at     timestamptz,
  parked_by     text,
  parked_reason text,
  probe_at      timestamptz,              -- no probe before this
  probe_ms      float8,                   -- the interval before it, in ms; kept after reopening, for a queue that is parked again soon
  probes        int         not null default 0, -- probes that failed since it was parked
  probe_message uuid,                     -- the message that is the probe, while its claim lasts
  probed        uuid[]      not null default '{}', -- met an operator failure since it was parked: the next probe is another message
  -- Their failure may have been their own (src/queues/park.ts): one that fails again while others pass does not close the queue.
  maybe_own     uuid[]      not null default '{}',
  reopened_at   timestamptz,              -- failures of attempts that were claimed before this do not park it again

  held_at       timestamptz,
  held_until    timestamptz,
  held_reason   text,

  rate          float8,                   -- messages per second over the whole fleet; the worker that started last sets it

  constraint queues_parked check (parked_at is null or probe_at is not null),
  constraint queues_rate check (rate > 0),
  constraint queues_rate_finite check (rate < 'Infinity' and probe_ms < 'Infinity'), -- NaN is above every number
  constraint queues_times check (
    isfinite(coalesce(paused_at, now())) and isfinite(coalesce(parked_at, now())) and isfinite(coalesce(probe_at, now()))
    and isfinite(coalesce(reopened_at, now())) and isfinite(coalesce(held_at, now()))
    and isfinite(coalesce(held_until, now())))
);

-- Every fleet has these; a worker adds its own when it starts.
insert into waybill.queues (name) values ('email'), ('events'), ('jobs') on conflict do nothing;

-- A rate of 10 a second is 10 permits. Each is good for one delivery, and then not for a second (src/queues/rate.ts).
create table waybill.queue_permits (
  queue   text        not null,
  n       int         not null,
  slot_at timestamptz not null default to_timestamp(0), -- when it was to be used the last time
  free_at timestamptz not null default to_timestamp(0), -- not used before this
  primary key (queue, n),
  constraint queue_permits_times check (isfinite(slot_at) and isfinite(free_at)) -- Postgres before 17 subtracts no infinite times
) with (fillfactor = 50);
