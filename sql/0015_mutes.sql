-- Groups of failures that a person has muted until they change (src/operate/mute.ts).

create table waybill.failure_mutes (
  key    text        primary key check (key ~ '^[0-9a-f]{12}$'), -- made of the normalised error, the name and the cause
  counts jsonb       not null, -- messages of the group in each window when it was muted
  by     text        not null, -- as in waybill.audit
  reason text,
  at     timestamptz not null default now()
);
