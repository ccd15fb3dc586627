-- How attempts ended, counted in the statement that settles them: a process that is killed takes no figure along. Append-only, so that
-- settling transactions never wait for one another; the pruner folds it together.
create table waybill.outbox_ends (
  id      bigint generated always as identity primary key,
  kind    text   not null,
  queue   text   not null,
  outcome text   not null, -- delivered, retried, dead, released
  n       bigint not null
);
