-- Cron: the application's jobs, the processes that have loaded them, the current schedule, and how each tick ended.

-- The list of an application's cron jobs, identified by its hash. `release` stages it. A process that has loaded the same manifest makes it ready
-- and active, and retires the one before. Only the active manifest is scheduled.
create table waybill.cron_manifests (
  hash         text        primary key,
  jobs         jsonb       not null,
  status       text        not null default 'staged',
  staged_at    timestamptz not null default now(), -- updated by each release; of the loaded manifests, the newest is active
  ready_at     timestamptz,
  activated_at timestamptz,
  retired_at   timestamptz,
  constraint cron_manifests_status check (status in ('staged', 'ready', 'active', 'retired')),
  constraint cron_manifests_jobs check (jsonb_typeof(jobs) = 'array')
);

create unique index cron_manifests_active on waybill.cron_manifests (status) where status = 'active';

-- Processes that have loaded a manifest, and whether they deliver its ticks. A process renews its row while it lives.
create table waybill.cron_loaded (
  process  text        primary key,
  manifest text        not null,
  delivers boolean     not null,
  seen_at  timestamptz not null default now()
);

-- The jobs of the active manifest. Ticks up to the cursor are done; a scheduler locks the row and dispatches the ticks that are due.
create table waybill.cron_jobs (
  name       text        primary key,
  manifest   text        not null,
  definition jsonb       not null,
  cursor_at  timestamptz not null,
  next_at    timestamptz not null,
  constraint cron_jobs_times check (isfinite(cursor_at) and isfinite(next_at)),
  constraint cron_jobs_definition check (jsonb_typeof(definition) = 'object')
);

-- For the scheduler: which jobs are due, and how long it can sleep.
create index cron_jobs_next on waybill.cron_jobs (next_at);

-- Jobs that a person disabled. Apart from cron_jobs, because a deployment may take a job away and bring it back. A row whose end has passed still says
-- which ticks were disabled, for a scheduler that comes late.
create table waybill.cron_disabled (
  name   text        primary key,
  since  timestamptz not null default now(),
  by     text        not null,
  reason text,
  until  timestamptz,                     -- null: until a person enables the job
  constraint cron_disabled_times check (isfinite(since) and isfinite(coalesce(until, since)))
);

-- Each run has one row, from its dispatch to its end.
create table waybill.cron_runs (
  id            uuid        primary key, -- UUIDv7
  name          text        not null,    -- of the cron job
  action        text        not null,
  source        text        not null,
  scheduled_at  timestamptz not null,
  dispatched_at timestamptz not null default now(),
  finished_at   timestamptz,
  status        text        not null default 'dispatched',
  reason        text,                    -- why it was skipped
  error         text,                    -- why it failed
  result        jsonb,                   -- of a succeeded run, if it is small
  skipped_ticks int         not null default 0, -- earlier ticks that were due and not run; each is counted once
  catch_up_from timestamptz,
  catch_up_to   timestamptz,
  manifest      text        not null,
  message_id    uuid,
  told          boolean     not null default false, -- its end is counted in the metrics
  constraint cron_runs_source check (source in ('cron', 'admin')),
  constraint cron_runs_status check (status in ('dispatched', 'succeeded', 'failed', 'skipped')),
  constraint cron_runs_finished check ((status = 'dispatched') = (finished_at is null)),
  constraint cron_runs_reason check ((status = 'skipped') = (reason is not null)),
  constraint cron_runs_ticks check (skipped_ticks >= 0 and isfinite(scheduled_at)),
  constraint cron_runs_times check (
    isfinite(dispatched_at) and isfinite(coalesce(finished_at, dispatched_at))
    and isfinite(coalesce(catch_up_from, dispatched_at)) and isfinite(coalesce(catch_up_to, dispatched_at)))
);

-- This index holds invariant G: a tick is dispatched once, however many schedulers run. A person may run a job any number of times.
create unique index cron_runs_tick on waybill.cron_runs (name, scheduled_at) where source = 'cron';
-- A job's newest runs.
create index cron_runs_of_job on waybill.cron_runs (name, id);
-- The run of a message.
create index cron_runs_message on waybill.cron_runs (message_id) where message_id is not null;
-- Runs that have not ended: for the overlap policy, and for finding runs whose message is gone.
create index cron_runs_going on waybill.cron_runs (name) where status = 'dispatched';
-- Ends that are not counted yet.
create index cron_runs_untold on waybill.cron_runs (id) where not told and status <> 'dispatched';

-- A run ends with its message, in the same transaction, whether a worker, the sweep or a person ends it. A worker that delivers writes a
-- successful end itself, with the result; the trigger then has nothing to do.
create function waybill.cron_end_run() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.status is not distinct from old.status then
    return null;
  elsif new.status = 'pending' and old.status in ('dead', 'cancelled') then
    update waybill.cron_runs set status = 'dispatched', finished_at = null, reason = null, error = null, told = false
     where message_id = new.id and status in ('failed', 'skipped');
  elsif new.status in ('delivered', 'dead', 'cancelled') then
    update waybill.cron_runs
       set status = case new.status when 'delivered' then 'succeeded' when 'dead' then 'failed' else 'skipped' end,
           finished_at = clock_timestamp(),
           error = case when new.status = 'dead' then new.last_error end,
           reason = case when new.status = 'cancelled' then 'cancelled' end
     where message_id = new.id and status = 'dispatched';
  end if;
  return null;
end
$$;

-- Postgres prepares a trigger's condition again for each statement that may fire it. So this trigger fires only when the times of an end change
-- (an operator's retry clears them), not at each claim; the rest of the condition is in the function.
create trigger outbox_ends_run after update of delivered_at, dead_at, cancelled_at on waybill.outbox_messages
  for each row when (new.kind = 'action') execute function waybill.cron_end_run();
