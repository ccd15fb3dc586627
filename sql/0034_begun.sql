-- What has begun of a claim. A worker claims some messages before it has a slot for them; a crash must not charge those that never began.

-- Of a message that is being sent: true, it was claimed before its slot was free (prefetched), and begins when its worker has written that
-- down; false, it began at once. Null: the claimer says nothing, and each of its claims counts.
alter table waybill.outbox_messages add column if not exists prefetched boolean;

-- Of what workers prefetched, what may have begun and has not ended: the last 32 bits of each id. A worker writes this before it begins them.
create table waybill.outbox_begun (
  worker text        not null,
  -- A process may run several workers.
  part   text        not null,
  ids    int[]       not null,
  at     timestamptz not null default now(),
  primary key (worker, part)
) with (fillfactor = 50);

-- The sweep's: who else lost a message with the same worker.
create index if not exists outbox_attempts_expired on waybill.outbox_attempts (worker, finished_at) where outcome = 'expired';
