-- Queues: what closes each, for the whole fleet. A person pauses it, the system parks it after an operator failure, or it is held until the time
-- that the provider named. Relay and claims read this table (src/outbox/waiting.ts); a queue without a row is open.

create table waybill.queues (
  name          text        primary key,

  paused_at     timestamptz,
  paused_by     text,
  paused_reason text,
  paused_until  timestamptz,              -- the pause ends then; null: when a person resumes the queue

  run_messages  uuid[]      not null default '{}', -- a person lets these through although the queue or their group is paused

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

  ramp_from     timestamptz,              -- it reopened then, and starts slowly (waybill.queue_room)

  -- Limits for the whole fleet (src/queues/limits.ts): what the application defines, and what an operator set instead. A null in the second
  -- lifts a limit of the first. The application's are those of the process that started last.
  app_limits      jsonb     not null default '{}',
  operator_limits jsonb     not null default '{}',
  limited_by      text,                   -- the operator
  limited_at      timestamptz,
  limited_reason  text,
  limited_seconds jsonb     not null default '{}', -- how long work waited for each limit, as a relay noted it (src/queues/limited.ts) …
  limited_seen_at timestamptz not null default now(), -- … the last time
  limits          jsonb     generated always as (app_limits || operator_limits) stored,
  -- Claims must look at the limits first (waybill.queue_room). A limit for each process alone does not need that, unless an operator set it.
  is_limited      boolean   generated always as (
    jsonb_strip_nulls(app_limits || operator_limits) - '{concurrencyPerProcess,rampMs}'::text[] <> '{}'
    or operator_limits ? 'concurrencyPerProcess') stored,
  ramp            interval  generated always as (
    make_interval(secs => coalesce(((app_limits || operator_limits) ->> 'rampMs')::float8, 30000) / 1000)) stored,

  constraint queues_parked check (parked_at is null or probe_at is not null),
  constraint queues_limits check (
    not jsonb_path_exists(app_limits, '$.** ? (@.type() == "number" && (@ < 0 || @ > 10000000000))')
    and not jsonb_path_exists(operator_limits, '$.** ? (@.type() == "number" && (@ < 0 || @ > 10000000000))')),
  constraint queues_finite check (probe_ms < 'Infinity'), -- NaN sorts above every number
  constraint queues_times check (
    isfinite(coalesce(paused_at, now())) and isfinite(coalesce(paused_until, now())) and isfinite(coalesce(parked_at, now())) and isfinite(coalesce(probe_at, now()))
    and isfinite(coalesce(reopened_at, now())) and isfinite(coalesce(held_at, now()))
    and isfinite(coalesce(held_until, now())) and isfinite(coalesce(ramp_from, now())))
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

-- What is known of single groups of a queue. Messages without a group are the group ''.
create table waybill.queue_groups (
  queue         text        not null,
  group_key     text        not null collate "C",
  paused_at     timestamptz,
  paused_by     text,
  paused_reason text,
  paused_until  timestamptz,
  next_at       timestamptz not null default '-infinity', -- with a rate for each group: its next start is not before this time

  -- What its deliveries said of it (src/queues/circuit.ts). Null and 0 unless it fails.
  failing_since timestamptz,              -- the first failure since its last success
  failed_at     timestamptz,              -- the last one
  failures      int         not null default 0, -- in a row; those of attempts that ran beside one another count once
  held_at       timestamptz,
  held_until    timestamptz,
  held_reason   text,
  parked_at     timestamptz,              -- it failed for too long: it is closed until somebody resumes it
  parked_reason text,
  primary key (queue, group_key),
  constraint queue_groups_times check (
    isfinite(coalesce(paused_at, now())) and isfinite(coalesce(paused_until, now())) and isfinite(coalesce(failing_since, now()))
    and isfinite(coalesce(failed_at, now())) and isfinite(coalesce(held_at, now())) and isfinite(coalesce(held_until, now()))
    and isfinite(coalesce(parked_at, now())))
) with (fillfactor = 70);

-- The groups that claims must look at: paused, parked or failing.
create index queue_groups_marked on waybill.queue_groups (queue)
  where paused_at is not null or parked_at is not null or failing_since is not null;

-- The time from one start of a group to the next, of a rate for each group: a twenty-fifth more than is due, as a start is a little later than its claim.
create function waybill.group_spacing(rate jsonb) returns interval
  language sql immutable set search_path = pg_catalog, pg_temp as $$
  select make_interval(secs => 1.04 * (rate ->> 'ms')::float8 / 1000 / ((rate ->> 'limit')::int - (rate ->> 'burst')::int + 1))
$$;

-- How many messages of a queue may be claimed now. With a limit, the caller's transaction locks the queue's row, so that claims follow one another,
-- and what is in flight is read afterwards: this is why it is a function. The second value is the text of the limits that the caller
-- knows. A rate needs permits of a caller who knows it (src/queues/rate.ts); for any other nothing may be claimed.
create function waybill.queue_room(text, text,
  out room int,           -- null: any number
  out each int,           -- of one group, with those that are in flight
  out spacing interval,   -- from one start of a group to the next …
  out burst int,          -- … of which so many may be at once
  out at timestamptz,
  out groups text[],      -- groups with messages in flight …
  out taken int[],        -- … and how many
  out paced text[],       -- groups that started lately …
  out next timestamptz[]  -- … and their next time
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  q waybill.queues;
  opened timestamptz;
begin
  select * into q from waybill.queues o where o.name = $1;
  if not found then return; end if;
  at := clock_timestamp();
  opened := greatest(q.ramp_from, case when q.held_until <= at then q.held_until end, case when q.paused_until <= at then q.paused_until end);
  if q.limits -> 'rate' <> 'null' and q.limits::text is distinct from $2 then
    room := 0;
    return;
  end if;
  each := q.limits ->> 'groupConcurrency';
  if q.limits -> 'groupRate' <> 'null' then
    burst := q.limits -> 'groupRate' ->> 'burst';
    spacing := waybill.group_spacing(q.limits -> 'groupRate');
  end if;
  room := q.limits ->> 'concurrency';
  -- After a pause or an outage the fleet starts slowly: 4 at once, doubled ten times until the ramp ends.
  if opened > at - q.ramp then
    room := least(room, floor(4 * 2 ^ (10 * extract(epoch from at - opened) / extract(epoch from q.ramp))));
  end if;
  if coalesce(room, each, burst) is null then return; end if;
  perform from waybill.queues o where o.name = $1 for no key update;
  at := clock_timestamp();
  select array_agg(f.name), array_agg(f.n), room - coalesce(sum(f.n), 0) into groups, taken, room from (
    select coalesce(m.group_key, '') as name, count(*)::int as n from waybill.outbox_messages m
     where m.relayed_at is not null and m.delivered_at is null and m.dead_at is null and m.cancelled_at is null
       and m.queue = $1 and m.claimed_until > at group by 1) f;
  if room < 0 then room := 0; end if;
  if burst is not null then
    select array_agg(g.group_key), array_agg(g.next_at) into paced, next
      from waybill.queue_groups g where g.queue = $1 and g.next_at > at - burst * spacing;
  end if;
end
$$;
