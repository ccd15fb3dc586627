-- What no row beside the outbox may hold that somebody edits by hand: each of these made a list, a scheduler or the advice fail for all. These tables
-- are written seldom, so a CHECK costs nothing worth naming. Rows that are there are not read again.

alter table waybill.cron_jobs add constraint cron_jobs_definition check (jsonb_typeof(definition) = 'object') not valid;
alter table waybill.cron_manifests add constraint cron_manifests_jobs check (jsonb_typeof(jobs) = 'array') not valid;
alter table waybill.cron_runs add constraint cron_runs_times check (
  isfinite(dispatched_at) and isfinite(coalesce(finished_at, dispatched_at))
  and isfinite(coalesce(catch_up_from, dispatched_at)) and isfinite(coalesce(catch_up_to, dispatched_at))) not valid;

alter table waybill.queues add constraint queues_times check (
  isfinite(coalesce(paused_at, now())) and isfinite(coalesce(parked_at, now())) and isfinite(coalesce(probe_at, now()))
  and isfinite(coalesce(probe_until, now())) and isfinite(coalesce(reopened_at, now())) and isfinite(coalesce(held_at, now()))
  and isfinite(coalesce(held_until, now()))) not valid;
-- NaN is above every number.
alter table waybill.queues add constraint queues_rate_finite check (rate < 'Infinity' and probe_ms < 'Infinity') not valid;

alter table waybill.processes add constraint processes_times check (isfinite(started_at) and isfinite(heartbeat_at)) not valid;
alter table waybill.counters add constraint counters_values check (
  jsonb_typeof(labels) = 'object' and value > '-Infinity' and value < 'Infinity') not valid;
alter table waybill.autoscale add constraint autoscale_values check (
  recommended >= 0 and exact >= 0 and exact < 'Infinity' and jsonb_typeof(facts) = 'object' and jsonb_typeof(state) = 'object') not valid;
alter table waybill.autoscale_turn add constraint autoscale_turn_values check (
  isfinite(at) and jsonb_typeof(capacities) = 'array') not valid;
