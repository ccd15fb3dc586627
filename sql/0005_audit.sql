-- Audit counters, apart from the messages' rows: `waybill outbox verify` reconciles the two (docs/states.md).

-- How many messages were ever recorded and pruned. Append-only, so that transactions never wait for one another; the pruner folds it together.
-- A message is counted when it is claimed or cancelled for the first time, a batch at once; until then its row counts (outbox_messages.counted).
-- So an enqueue pays nothing for it: 70 of its 514 µs of server time before (npm run bench -- record).
create table waybill.outbox_ledger (
  kind     text   not null,
  recorded bigint not null default 0,
  pruned_delivered bigint not null default 0,
  pruned_dead bigint not null default 0,
  pruned_cancelled bigint not null default 0
);

-- With a publication for all tables, rows of a table without an identity cannot be deleted, and pruning would stand still. A primary key would
-- cost each claim an index entry; the whole row as the identity costs something only where it is published.
alter table waybill.outbox_ledger replica identity full;

-- A row that is deleted before it was counted is counted then, whoever deletes it: so its loss shows.
create function waybill.outbox_count_deleted() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_ledger (kind, recorded) values (old.kind, 1);
  return null;
end
$$;

create trigger outbox_deleted after delete on waybill.outbox_messages
  for each row when (not old.counted) execute function waybill.outbox_count_deleted();

create function waybill.outbox_count_truncated() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_ledger (kind, recorded)
    select kind, count(*) from waybill.outbox_messages where not counted group by kind;
  return null;
end
$$;

create trigger outbox_truncated before truncate on waybill.outbox_messages
  for each statement execute function waybill.outbox_count_truncated();

-- How attempts ended, counted in the statement that settles them: a process that is killed loses no figure. Append-only; the pruner folds it.
create table waybill.outbox_ends (
  id      bigint generated always as identity primary key,
  kind    text   not null,
  queue   text   not null,
  outcome text   not null, -- delivered, retried, dead, released
  n       bigint not null
);
