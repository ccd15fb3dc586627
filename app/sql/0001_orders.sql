-- The example's own tables.

create table orders (
  id             uuid        primary key,
  customer_email text        not null,
  items          jsonb       not null,
  total_cents    bigint      not null check (total_cents >= 0),
  created_at     timestamptz not null default now()
);

-- The totals that the job adds to. An order counts once, however often its message is delivered.
create table customer_totals (
  customer_email text   primary key,
  orders         int    not null,
  total_cents    bigint not null
);

create table counted_orders (
  order_id uuid primary key
);

-- The rows that the listener writes.
create table order_log (
  order_id  uuid        primary key,
  placed_at timestamptz not null default now()
);
