-- What operators were told of by webhook already. What is found is compared with this, not with a time: a transaction that commits late
-- is found late, and told all the same.

create table waybill.notices_told (
  key     text        primary key,
  told_at timestamptz not null default now()
);

create index notices_told_at on waybill.notices_told (told_at);
