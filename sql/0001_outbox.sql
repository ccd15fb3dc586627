-- What exists: the outbox. One row is one message, and the row is the only truth.
-- States and the legal changes between them: src/outbox/transitions.ts. The CHECKs below say the same.

create schema if not exists waybill;

create table waybill.outbox_messages (
  id             uuid        primary key, -- UUIDv7, made by the recording process: time-ordered on every Postgres
  kind           text        not null,
  name           text        not null,
  queue          text        not null,
  payload        jsonb       not null,
  status         text        not null default 'pending',
  attempts       int         not null default 0,
  expirations    int         not null default 0, -- attempts that ended with the lease: its worker died, perhaps of it
  max_attempts   int         not null,
  priority       int         not null default 0, -- higher goes first
  available_at   timestamptz not null default now(),
  relayed_at     timestamptz,              -- null: waits for the relay
  claim_token    uuid,
  claimed_by     text,
  claimed_at     timestamptz,
  claimed_until  timestamptz,
  delivered_at   timestamptz,
  dead_at        timestamptz,
  cancelled_at   timestamptz,
  last_error     text,
  delivery_key   text,
  parent_id      uuid,
  request_id     text,
  traceparent    text,
  created_at     timestamptz not null default now(),

  constraint outbox_kind check (kind in ('email', 'event', 'listener', 'job', 'action')),
  constraint outbox_status check (status in ('pending', 'sending', 'delivered', 'failed', 'dead', 'cancelled')),
  constraint outbox_attempts check (max_attempts >= 1 and attempts >= 0 and attempts <= max_attempts and expirations >= 0),
  constraint outbox_times check (isfinite(available_at) and isfinite(created_at)),
  -- A sending row has token, owner and deadline; no other row has any of them.
  constraint outbox_claim check (case when status = 'sending'
    then claim_token is not null and claimed_by is not null and claimed_at is not null
         and claimed_until is not null and isfinite(claimed_until) and relayed_at is not null
    else claim_token is null and claimed_by is null and claimed_at is null and claimed_until is null end),
  constraint outbox_delivered check ((status = 'delivered') = (delivered_at is not null)),
  constraint outbox_dead check ((status = 'dead') = (dead_at is not null)),
  constraint outbox_cancelled check ((status = 'cancelled') = (cancelled_at is not null))
) with (
  fillfactor = 70,                          -- room for the row versions of claim and settle on the same page
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);

-- The relay's: what waits. Settled, relayed and leased rows are not in it, so its size is the backlog alone (invariant I).
create index outbox_waiting on waybill.outbox_messages (queue, priority, available_at)
  where relayed_at is null and cancelled_at is null;

-- The sweep's: what was handed on and is not settled. Bounded by the high-water marks and the slots of the fleet.
-- claim and extend touch none of its columns, so they stay HOT updates.
create index outbox_in_flight on waybill.outbox_messages (relayed_at)
  where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null;

-- The operator's: dead letters, newest first; also what the pruner walks.
create index outbox_dead on waybill.outbox_messages (dead_at) where dead_at is not null;

-- Cancelled ones, for counting and pruning.
create index outbox_cancelled on waybill.outbox_messages (cancelled_at) where cancelled_at is not null;

-- A delivery key stands once. Dead and cancelled messages give theirs back, so that a cause can be mended and the message enqueued anew.
create unique index outbox_delivery_key on waybill.outbox_messages (kind, name, delivery_key)
  where delivery_key is not null and dead_at is null and cancelled_at is null;

-- Keys whose rows were pruned: they hold until their retention is over.
create table waybill.outbox_keys (
  kind         text        not null,
  name         text        not null,
  delivery_key text        not null,
  message_id   uuid        not null,
  pruned_at    timestamptz not null default now(),
  primary key (kind, name, delivery_key)
);
create index outbox_keys_pruned on waybill.outbox_keys (pruned_at);

-- How many messages were ever recorded and pruned, counted apart from the rows themselves:
-- `waybill outbox verify` compares the two (DESIGN, promise 10). Append-only, so that
-- recording transactions never wait for one another; the pruner folds it together.
create table waybill.outbox_ledger (
  kind     text   not null,
  recorded bigint not null default 0,
  pruned_delivered bigint not null default 0,
  pruned_dead bigint not null default 0,
  pruned_cancelled bigint not null default 0
);

create function waybill.outbox_count_recorded() returns trigger language plpgsql as $$
begin
  insert into waybill.outbox_ledger (kind, recorded) select kind, count(*) from recorded group by kind;
  return null;
end
$$;

create trigger outbox_recorded after insert on waybill.outbox_messages
  referencing new table as recorded
  for each statement execute function waybill.outbox_count_recorded();
