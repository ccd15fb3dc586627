-- Audit counters, kept apart from the messages' rows. `waybill outbox verify` reconciles the two (docs/states.md).

-- How many messages were recorded, how attempts ended, and what was pruned. The statement that makes a change also counts it, so a killed process
-- loses no figure. Append-only, so that transactions never wait for one another; the pruner folds rows together. A message counts as recorded
-- with its first end, a batch at once; until then its row counts (outbox_messages.ends). So an enqueue pays nothing, instead of 70 of its 514 µs
-- of server time (npm run bench -- record), and a claim pays nothing either.
create table waybill.outbox_audit (
  id       bigint generated always as identity primary key,
  kind     text   not null,
  queue    text   not null default '',
  outcome  text   not null, -- delivered, retried, dead, released, expired, exhausted, discarded, cancelled, deleted; 'pruned ' and a status
  n        bigint not null default 0,
  recorded bigint not null default 0 -- how many of the n messages ended for the first time
);

-- A row that is deleted before its first end is counted then, whoever deletes it, so that the loss shows.
create function waybill.outbox_count_deleted() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_audit (kind, queue, outcome, recorded) values (old.kind, old.queue, 'deleted', 1);
  return null;
end
$$;

create trigger outbox_deleted after delete on waybill.outbox_messages
  for each row when (old.ends = 0) execute function waybill.outbox_count_deleted();

create function waybill.outbox_count_truncated() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_audit (kind, outcome, recorded)
    select kind, 'deleted', count(*) from waybill.outbox_messages where ends = 0 group by kind;
  return null;
end
$$;

create trigger outbox_truncated before truncate on waybill.outbox_messages
  for each statement execute function waybill.outbox_count_truncated();
