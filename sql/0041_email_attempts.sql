-- waybill.enqueue: max_attempts that is left out depends on the kind, as in src/outbox/message.ts: an email is tried for about a day.

create or replace function waybill.enqueue(kind text, name text, payload jsonb, queue text default null, delivery_key text default null,
    available_at timestamptz default null, priority int default 0, max_attempts int default null,
    request_id text default null, traceparent text default null, parent_id uuid default null)
  returns uuid language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  lane text := coalesce(enqueue.queue, case when enqueue.kind = 'email' then 'email'
    when enqueue.kind in ('event', 'listener') then 'events' else 'jobs' end);
  most int := coalesce(enqueue.max_attempts, case when enqueue.kind = 'email' then 53 else 10 end);
  made uuid := waybill.outbox_new_id();
  standing uuid;
begin
  perform waybill.outbox_check(enqueue.kind, enqueue.name, enqueue.payload, lane, enqueue.delivery_key, enqueue.available_at,
    enqueue.priority, most, enqueue.request_id, enqueue.traceparent);
  -- A holder of the key may die or be cancelled between the two statements; then the next round records the message.
  for round in 1 .. 3 loop
    insert into waybill.outbox_messages
      (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent)
    select made, enqueue.kind, enqueue.name, lane, enqueue.payload, most, enqueue.priority,
           coalesce(enqueue.available_at, now()), enqueue.delivery_key, enqueue.parent_id, enqueue.request_id, enqueue.traceparent
     where enqueue.delivery_key is null or not exists (
       select from waybill.outbox_keys k
        where k.kind = enqueue.kind and k.name = enqueue.name and k.delivery_key = enqueue.delivery_key)
    on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
    if found then
      return made;
    end if;
    select m.id into standing from waybill.outbox_messages m
     where m.kind = enqueue.kind and m.name = enqueue.name and m.delivery_key = enqueue.delivery_key
       and m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null;
    if found then
      return standing;
    end if;
    select k.message_id into standing from waybill.outbox_keys k
     where k.kind = enqueue.kind and k.name = enqueue.name and k.delivery_key = enqueue.delivery_key;
    if found then
      return standing;
    end if;
  end loop;
  raise exception 'waybill.enqueue: the delivery key changed hands three times while the message was being recorded; try again'
    using errcode = '40001', detail = 'delivery_key_contended';
end
$$;
