-- waybill.enqueue: records a message from SQL, so that any language or trigger can do it in its own transaction. The checks are those of
-- src/outbox/message.ts; what is wrong is raised with SQLSTATE 22023 and the code of docs/errors.md as its detail.
-- There is no NOTIFY in it: inside of a transaction that would serialise commits. The relay polls (WAYBILL_POLL_INTERVAL).

create function waybill.outbox_refuse(code text, problem text) returns void language plpgsql as $$
begin
  raise exception 'waybill.enqueue: %', problem using errcode = '22023', detail = code, hint = 'docs/errors.md';
end
$$;

-- UUIDv7: 48 bits of milliseconds, then the version and what is random in a version 4 (RFC 9562, section 5.7).
create function waybill.outbox_new_id() returns uuid language sql volatile as $$
  select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' ||
          substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;

create function waybill.outbox_check(kind text, name text, payload jsonb, queue text, delivery_key text,
    available_at timestamptz, priority int, max_attempts int, request_id text, traceparent text)
  returns void language plpgsql as $$
declare
  most int := coalesce(nullif(current_setting('waybill.max_payload_bytes', true), ''), '262144')::int;
begin
  if kind is null or kind not in ('email', 'event', 'listener', 'job', 'action') then
    perform waybill.outbox_refuse('unknown_kind', format('%L is no kind of message; the kinds are email, event, listener, job, action', kind));
  end if;
  if name is null or name !~ '^[[:alnum:]._:/-]{1,200}$' then
    perform waybill.outbox_refuse('name_invalid', 'the name must have 1 to 200 letters, digits, ''.'', ''_'', '':'', ''/'' or ''-''');
  end if;
  if queue !~ '^[A-Za-z0-9._-]{1,100}$' then
    perform waybill.outbox_refuse('queue_invalid', 'the queue must have 1 to 100 letters, digits, ''.'', ''_'' or ''-''');
  end if;
  if payload is null then
    perform waybill.outbox_refuse('payload_not_json', 'the payload must not be null');
  end if;
  if octet_length(payload::text) > most then
    perform waybill.outbox_refuse('payload_too_large', format('the payload has %s bytes; at most %s are allowed (waybill.max_payload_bytes)',
      octet_length(payload::text), most));
  end if;
  if delivery_key is not null and (delivery_key ~ '[[:cntrl:]]' or length(delivery_key) not between 1 and 255) then
    perform waybill.outbox_refuse('delivery_key_invalid', 'a delivery key has 1 to 255 printable characters');
  end if;
  if priority is null or priority not between -1000 and 1000 then
    perform waybill.outbox_refuse('priority_invalid', 'the priority must be from -1000 to 1000');
  end if;
  if max_attempts is null or max_attempts not between 1 and 1000 then
    perform waybill.outbox_refuse('max_attempts_invalid', 'max_attempts must be from 1 to 1000');
  end if;
  if available_at is not null and not (isfinite(available_at) and extract(year from available_at) between 1970 and 9999) then
    perform waybill.outbox_refuse('invalid_time', 'available_at must be between the years 1970 and 9999');
  end if;
  if request_id is not null and (request_id ~ '[[:cntrl:]]' or length(request_id) not between 1 and 200) then
    perform waybill.outbox_refuse('request_id_invalid', 'a request id has 1 to 200 printable characters');
  end if;
  if traceparent is not null and (traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' or traceparent ~ '^00-0{32}|-0{16}-') then
    perform waybill.outbox_refuse('traceparent_invalid', 'a traceparent looks like 00-<32 hex digits>-<16 hex digits>-<2 hex digits>');
  end if;
end
$$;

-- Gives the message's id; that of the first one when the delivery key stands already, and then nothing is recorded.
create function waybill.enqueue(kind text, name text, payload jsonb, queue text default null, delivery_key text default null,
    available_at timestamptz default null, priority int default 0, max_attempts int default 10,
    request_id text default null, traceparent text default null, parent_id uuid default null)
  returns uuid language plpgsql as $$
#variable_conflict use_column
declare
  lane text := coalesce(enqueue.queue, case when enqueue.kind = 'email' then 'email'
    when enqueue.kind in ('event', 'listener') then 'events' else 'jobs' end);
  made uuid := waybill.outbox_new_id();
  standing uuid;
begin
  perform waybill.outbox_check(enqueue.kind, enqueue.name, enqueue.payload, lane, enqueue.delivery_key, enqueue.available_at,
    enqueue.priority, enqueue.max_attempts, enqueue.request_id, enqueue.traceparent);
  -- A holder of the key may die or be cancelled between the two statements; then the next round records the message.
  for round in 1 .. 3 loop
    insert into waybill.outbox_messages
      (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent)
    select made, enqueue.kind, enqueue.name, lane, enqueue.payload, enqueue.max_attempts, enqueue.priority,
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
