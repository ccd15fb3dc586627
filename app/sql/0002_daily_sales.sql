-- The rows that the cron job writes: one for each day that is over.
create table daily_sales (
  day         date        primary key,
  orders      int         not null,
  total_cents bigint      not null,
  summed_at   timestamptz not null default now()
);
