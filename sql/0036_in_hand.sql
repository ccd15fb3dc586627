-- What a process has in hand, apart: busy (deliveries that run), claimed before a slot was free, and over but not recorded; and whether it runs
-- a message alone, or makes room for one.
alter table waybill.processes
  add column if not exists prefetched int not null default 0,
  add column if not exists settling int not null default 0,
  add column if not exists isolating int not null default 0;
