-- Times at infinity, in the tables that 0030 left out: before 17, Postgres subtracts none, so one such row stopped the rate of its queue.

alter table waybill.queue_permits add constraint queue_permits_times check (isfinite(slot_at) and isfinite(free_at)) not valid;
alter table waybill.autoscale add constraint autoscale_times check (isfinite(decided_at)) not valid;
