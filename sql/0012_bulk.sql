-- Bulk acts: what a person does to all messages that a filter matches. The relay works each act off in batches (src/operate/bulk-work.ts). A batch
-- and its progress commit together, so a crash repeats nothing.

create table waybill.bulk_acts (
  id         uuid        primary key, -- UUIDv7
  action     text        not null check (action in ('retry', 'cancel', 'hold', 'reschedule', 'erase')),
  filter     jsonb       not null,    -- as the person gave it
  arguments  jsonb       not null default '{}', -- due: the time of hold and reschedule
  rate       float8      check (rate > 0), -- messages per second; null: no limit
  most       int         check (most > 0), -- the act ends after so many changes; null: no limit

  -- The walk goes from the newest id to the oldest. A message that was recorded after the start does not belong to the act.
  newest     uuid,                    -- the newest message at the start; null: there was none
  reached    uuid,                    -- all messages from this one on are done or in bulk_locked; null: the walk has not begun
  is_walked  boolean     not null default false, -- the walk is over; messages in bulk_locked may be left
  next_at    timestamptz,             -- no batch before this time, because of the rate, of an error or of locked messages

  state      text        not null default 'running' check (state in ('running', 'paused', 'stopped', 'done', 'failed')),
  matched    int         not null,    -- counted at the start …
  at_least   boolean     not null,    -- … and there were more than that
  changed    int         not null default 0,
  skipped    jsonb       not null default '{}', -- reason → number of messages
  errors     int         not null default 0, -- batches that failed one after another
  last_error text,

  by         text        not null,    -- as in waybill.audit
  via        text        not null,
  reason     text,
  created_at timestamptz not null default now(),
  started_at timestamptz,             -- the first batch
  worked_at  timestamptz,             -- the last batch
  ended_at   timestamptz              -- stopped, done or failed
);

create index bulk_acts_running on waybill.bulk_acts (worked_at) where state = 'running';

-- Messages that another transaction had locked when the walk came by. They are visited again after it.
create table waybill.bulk_locked (
  act_id     uuid not null references waybill.bulk_acts on delete cascade,
  message_id uuid not null,
  visits     int  not null default 0, -- since the walk
  primary key (act_id, message_id)
);
