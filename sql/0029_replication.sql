-- With a publication for all tables, rows of a table without a primary key cannot be deleted, and pruning stood still for ever. The ledger is
-- appended to with each claim: a key would cost each of them an index entry, and the whole row as its identity costs something only where it is
-- published, and only when entries are folded together.

alter table waybill.outbox_ledger replica identity full;
