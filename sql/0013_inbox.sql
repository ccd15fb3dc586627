-- The development inbox: mails of the provider `inbox`, which stores them instead of sending them. They go with their message.

create table waybill.inbox_emails (
  message_id uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  sender     text        not null,
  recipients text[]      not null,
  subject    text        not null,
  html       text,
  text       text,
  -- Bytes: an attachment that is itself an email goes as it is, in whatever encoding.
  source     bytea       not null,
  stored_at  timestamptz not null default clock_timestamp(),
  -- In the order in which they were stored: the list is walked along it.
  number     bigint      generated always as identity,
  constraint inbox_number unique (number)
);
