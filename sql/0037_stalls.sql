-- Loops of a process that stand still, as its heartbeat tells: web shows them, also for processes that nobody can ask.
alter table waybill.processes add column if not exists stalled text[] not null default '{}';
