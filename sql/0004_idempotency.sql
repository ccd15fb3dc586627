-- Keys under which something was done once. The key, its answer and the effect commit together, or none of them exists.

create table waybill.outbox_idempotency (
  scope       text        not null, -- whose keys: an action and its caller (Idempotency-Key), or a handler (idempotent)
  key         text        not null,
  fingerprint text,                 -- of the arguments; only of an Idempotency-Key: the same key with others is a mistake
  answer      text,                 -- JSON; as text, because jsonb cannot hold U+0000
  created_at  timestamptz not null default clock_timestamp(),
  primary key (scope, key)
);

-- The pruner's: an Idempotency-Key holds for a day, a handler's key as long as a delivery key.
create index outbox_idempotency_asked on waybill.outbox_idempotency (created_at) where fingerprint is not null;
create index outbox_idempotency_handled on waybill.outbox_idempotency (created_at) where fingerprint is null;
