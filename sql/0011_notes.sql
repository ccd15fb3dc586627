-- Notes: what is known of a delivered message beside that it was delivered. Which recipient was refused, what the provider answered, and
-- what it said later (a bounce, a complaint). They go with their message.

create table waybill.outbox_notes (
  message_id uuid        not null references waybill.outbox_messages (id) on delete cascade,
  at         timestamptz not null default clock_timestamp(),
  type       text        not null,
  recipient  text,
  detail     text,
  reference  text,
  source     text,
  id         bigint      generated always as identity primary key
);

create index outbox_notes_message on waybill.outbox_notes (message_id);

-- The provider's own name for what it took: how a report of it finds its message.
create index outbox_notes_reference on waybill.outbox_notes (reference) where reference is not null;

-- A report that is told twice is noted once.
create unique index outbox_notes_source on waybill.outbox_notes (source) where source is not null;
