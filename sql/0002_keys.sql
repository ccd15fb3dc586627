-- Keys that make recording a message, or other work, happen only once.

-- Delivery keys of pruned messages, kept until the retention of keys is over. The keys of all other messages are in their rows.
create table waybill.outbox_keys (
  kind         text        not null,
  name         text        not null,
  delivery_key text        not null,
  message_id   uuid        not null,
  pruned_at    timestamptz not null default now(),
  primary key (kind, name, delivery_key)
);

create index outbox_keys_pruned on waybill.outbox_keys (pruned_at);

-- Records one message with a delivery key; false means that the key is taken. It is a function so that the connection keeps its plan, also behind
-- a transaction pooler: planning the two lookups of the key costs more than the rest of an enqueue. Its operators are qualified, because a
-- search_path of its own would cost each call some microseconds.
create function waybill.outbox_record(uuid, text, text, text, jsonb, int, int, timestamptz, text, uuid, text, text, text default null,
    text default null)
  returns boolean language plpgsql as $$
begin
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent,
     group_key, order_key, revision)
  select $1, $2, $3, $4, $5, $6, $7, coalesce($8, pg_catalog.now()), $9, $10, $11, $12, $13, $14, 0
   where not exists (
     select from waybill.outbox_keys k
      where k.kind operator(pg_catalog.=) $2 and k.name operator(pg_catalog.=) $3 and k.delivery_key operator(pg_catalog.=) $9)
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
  return found;
end
$$;

-- Work that was done once. The key, its answer and the effect commit together or not at all.
create table waybill.outbox_idempotency (
  scope       text        not null, -- an action and its caller (Idempotency-Key), or a handler (idempotent)
  key         text        not null,
  fingerprint text,                 -- of the arguments sent with an Idempotency-Key; the same key with other arguments is an error
  answer      text,                 -- JSON as text, because jsonb cannot hold U+0000
  created_at  timestamptz not null default clock_timestamp(),
  primary key (scope, key)
);

-- For pruning: an Idempotency-Key is kept for a day, a handler's key as long as a delivery key.
create index outbox_idempotency_asked on waybill.outbox_idempotency (created_at) where fingerprint is not null;
create index outbox_idempotency_handled on waybill.outbox_idempotency (created_at) where fingerprint is null;
