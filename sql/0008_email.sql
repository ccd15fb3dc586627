-- Email: the date, suppressed addresses, the batches of a provider, and the development inbox.

-- A delayed email gets the time at which it becomes due as its date. The date is the same on every attempt, but available_at moves with each
-- retry. The engine writes the date into the payload itself; this trigger does so for other rows, such as those of waybill.enqueue.
create function waybill.outbox_date_email() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  new.payload := new.payload || jsonb_build_object('date',
    to_char(new.available_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  return new;
end
$$;

create trigger outbox_dated before insert on waybill.outbox_messages
  for each row when (new.kind = 'email' and new.available_at > new.created_at
    and isfinite(new.available_at) and jsonb_typeof(new.payload) = 'object' and not new.payload ? 'date')
  execute function waybill.outbox_date_email();

-- Addresses that get no more mail: mailboxes that do not exist, people who complained, and addresses that an operator added.
create table waybill.email_suppressions (
  address text        primary key,
  reason  text        not null,
  since   timestamptz not null default now(),
  constraint email_suppressions_lower check (address = lower(address))
);

-- The key under which each email goes to a provider that takes several in one request. It is written before the request, so that the next attempt
-- repeats the same request.
create table waybill.email_batches (
  message_id  uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  batch       uuid,                 -- the key; the message's own id if it went alone; null: the provider took nothing, it may join another batch
  position    int         not null,
  size        int         not null, -- of the whole batch; when rows of it are gone, the batch cannot be repeated
  recipients  text[]      not null,
  asked_again boolean     not null default false, -- in the row at position 0: the batch was requested a second time
  answer      jsonb,                -- the provider's, for an attempt that may have missed it: {"receipt": …}; a null receipt: refused
  planned_at  timestamptz not null default now()
);

create index email_batches_batch on waybill.email_batches (batch);

-- The development inbox: emails of the provider `inbox`, which stores them instead of sending them.
create table waybill.inbox_emails (
  message_id uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  number     bigint      generated always as identity, -- the order in which they were stored; the list follows it
  sender     text        not null,
  recipients text[]      not null,
  subject    text        not null,
  html       text,
  text       text,
  source     bytea       not null, -- bytes, because an attachment that is itself an email may be in any encoding
  stored_at  timestamptz not null default clock_timestamp(),
  constraint inbox_number unique (number)
);
