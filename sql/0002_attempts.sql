-- Attempts that did not simply succeed. The one that delivered is derived from its message.

create table waybill.outbox_attempts (
  message_id  uuid        not null references waybill.outbox_messages (id) on delete cascade,
  attempt     int         not null,
  started_at  timestamptz not null,
  finished_at timestamptz not null default now(),
  worker      text        not null,
  outcome     text        not null,
  error       text,
  id          bigint      generated always as identity primary key,
  constraint outbox_attempts_outcome check (outcome in ('retried', 'dead', 'expired', 'released', 'ambiguous'))
);

create index outbox_attempts_message on waybill.outbox_attempts (message_id);
