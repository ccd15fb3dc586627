-- Attempts: which began, how they ended, and what was learned about a message after its end.

-- Prefetched messages that may have begun and have not ended. A worker lists them here before they begin, so a crash uses up no other attempts.
create table waybill.outbox_begun (
  worker text        not null,
  part   text        not null,      -- tells the workers of one process apart
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
  stack       text,                 -- of the error and its causes, redacted and bounded (src/redaction/stack.ts)
  constraint outbox_attempts_outcome check (outcome in ('retried', 'dead', 'expired', 'released', 'ambiguous', 'ended'))
);

create index outbox_attempts_message on waybill.outbox_attempts (message_id);

-- For the sweep: the other messages that the same worker lost at the same time.
create index outbox_attempts_expired on waybill.outbox_attempts (worker, finished_at) where outcome = 'expired';

-- Attempts after which the message may have been delivered or not: the provider's answer was lost, the lease ran out, or a person ended it. They are
-- few, and operators search for them (`waybill outbox list --outcome ambiguous`).
create index outbox_attempts_uncertain on waybill.outbox_attempts (message_id) where outcome in ('ambiguous', 'expired', 'ended');

-- Facts about a delivered message: a refused recipient, the provider's answer, and its later reports (a bounce, a complaint).
create table waybill.outbox_notes (
  id         bigint      generated always as identity primary key,
  message_id uuid        not null references waybill.outbox_messages (id) on delete cascade,
  at         timestamptz not null default clock_timestamp(),
  type       text        not null,
  recipient  text,
  detail     text,
  reference  text,                  -- the provider's own id for what it accepted
  source     text                   -- id of the provider's report
);

create index outbox_notes_message on waybill.outbox_notes (message_id);

-- A provider's report finds its message by the reference.
create index outbox_notes_reference on waybill.outbox_notes (reference) where reference is not null;

-- A report that arrives twice is noted once.
create unique index outbox_notes_source on waybill.outbox_notes (source) where source is not null;
