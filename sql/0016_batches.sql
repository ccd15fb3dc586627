-- Under which key each email was handed over to a provider that takes several in one request: written down before the request, so that
-- whoever tries again asks for the same. A row goes with its message.

create table waybill.email_batches (
  message_id  uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  -- The key. The message's own id: it went alone. Null: the provider took nothing under the last one, the message is free for another.
  batch       uuid,
  position    int         not null,
  -- Of the whole batch: when rows are gone, it cannot be asked for again.
  size        int         not null,
  recipients  text[]      not null,
  -- In the row at position 0: somebody asked for the batch a second time.
  asked_again boolean     not null default false,
  -- What the provider said of this email, when nobody who waited for it may have heard it: {"receipt": …}, null in it: refused.
  answer      jsonb,
  planned_at  timestamptz not null default now()
);

create index email_batches_batch on waybill.email_batches (batch);
