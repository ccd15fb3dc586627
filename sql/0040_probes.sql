-- Which messages met an operator failure since the queue was parked: the next probe is another one, as long as there is one. maybe_own are
-- those whose failure may have been their own: one that fails again while others pass does not close the queue (src/outbox/park.ts).

alter table waybill.queues
  add column probed   uuid[] not null default '{}',
  add column maybe_own uuid[] not null default '{}';
