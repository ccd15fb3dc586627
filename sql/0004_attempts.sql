-- Attempts: what began, how they ended, and what became known of a message after its end.

-- Which prefetched messages may have begun and have not ended. A worker writes this before it begins them, so that a crash charges no others.
create table waybill.outbox_begun (
  worker text        not null,
  part   text        not null,      -- a process may run several workers
  ids    int[]       not null,      -- the last 32 bits of each message's id
  at     timestamptz not null default now(),
  primary key (worker, part)
) with (fillfactor = 50);

-- Attempts that did not simply succeed. The one that delivered is derived from its message.
create table waybill.outbox_attempts (
  id          bigint      generated always as identity primary key,
  message_id  uuid        not null references waybill.outbox_messages (id) on delete cascade,
  attempt     int         not null,
  started_at  timestamptz not null,
  finished_at timestamptz not null default now(),
  worker      text        not null,
  outcome     text        not null,
  error       text,
  stack       text,                 -- where it failed, with its causes; redacted and bounded (src/redaction/stack.ts)
  constraint outbox_attempts_outcome check (outcome in ('retried', 'dead', 'expired', 'released', 'ambiguous'))
);

create index outbox_attempts_message on waybill.outbox_attempts (message_id);

-- For the sweep: which other messages the same worker lost at the same time.
create index outbox_attempts_expired on waybill.outbox_attempts (worker, finished_at) where outcome = 'expired';

-- Attempts after which the message may have been delivered or not: the provider's answer was lost, or the lease ran out. Few, and looked for by
-- operators (`waybill outbox list --outcome ambiguous`).
create index outbox_attempts_uncertain on waybill.outbox_attempts (message_id) where outcome in ('ambiguous', 'expired');

-- What is known of a delivered message: which recipient was refused, what the provider answered, and what it said later (a bounce, a
-- complaint).
create table waybill.outbox_notes (
  id         bigint      generated always as identity primary key,
  message_id uuid        not null references waybill.outbox_messages (id) on delete cascade,
  at         timestamptz not null default clock_timestamp(),
  type       text        not null,
  recipient  text,
  detail     text,
  reference  text,                  -- the provider's own id of what it accepted
  source     text                   -- id of the report that said so
);

create index outbox_notes_message on waybill.outbox_notes (message_id);

-- A provider's report finds its message by this.
create index outbox_notes_reference on waybill.outbox_notes (reference) where reference is not null;

-- A report that comes twice is noted once.
create unique index outbox_notes_source on waybill.outbox_notes (source) where source is not null;
