-- Counting what is recorded, at less cost: nearly always the messages of one statement are of one kind, and then nothing needs grouping.

create or replace function waybill.outbox_count_recorded() returns trigger language plpgsql as $$
declare
  first_kind text;
  last_kind text;
  n bigint;
begin
  select min(kind), max(kind), count(*) into first_kind, last_kind, n from recorded;
  if first_kind = last_kind then
    insert into waybill.outbox_ledger (kind, recorded) values (first_kind, n);
  elsif n > 0 then
    insert into waybill.outbox_ledger (kind, recorded) select kind, count(*) from recorded group by kind;
  end if;
  return null;
end
$$;

-- One message with a delivery key. A function, because its plan is kept for the session, also behind a transaction pooler: planning
-- the two looks at the key costs more than all the rest of an enqueue. False: the key stands.
create function waybill.outbox_record(uuid, text, text, text, jsonb, int, int, timestamptz, text, uuid, text, text)
  returns boolean language plpgsql as $$
begin
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent)
  select $1, $2, $3, $4, $5, $6, $7, coalesce($8, now()), $9, $10, $11, $12
   where not exists (select from waybill.outbox_keys k where k.kind = $2 and k.name = $3 and k.delivery_key = $9)
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
  return found;
end
$$;
