-- How many workers each queue needs. Decided every ten seconds by whichever relay or web process comes first (src/scale/), and kept
-- here, so that the metric, the admin API, the command and SQL all tell the same.

create table waybill.autoscale (
  queue       text        primary key,
  recommended int         not null,
  exact       float8      not null, -- before rounding; never more than `recommended`
  facts       jsonb       not null, -- the figures that led to it, and the reasons in words
  state       jsonb       not null, -- what the next decision must know of the earlier ones
  decided_at  timestamptz not null default now()
) with (fillfactor = 50);

-- Who updates the row has the turn.
create table waybill.autoscale_turn (
  one boolean     primary key default true check (one),
  at  timestamptz not null default to_timestamp(0),
  capacities jsonb not null default '[]' -- for how many workers there were connections lately
);
insert into waybill.autoscale_turn default values on conflict do nothing;

-- For KEDA's Postgres scaler. With several queues: for processes that work all of them, whose slots they share.
create function waybill.workers_recommended(variadic queues text[]) returns int language sql stable as $$
  select coalesce(greatest(max(recommended), ceil(sum(exact) - 0.1)), 0)::int from waybill.autoscale where queue = any(queues)
$$;
