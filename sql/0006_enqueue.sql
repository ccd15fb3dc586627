-- waybill.enqueue: records a message from SQL, so that any language or trigger can do it in its own transaction (docs/sql.md). Its checks are
-- those of src/message/message.ts. A refusal has SQLSTATE 22023 and a code of docs/errors.md as its detail. It sends no NOTIFY, which would make
-- the commits of all callers wait for one another; the relay polls instead (WAYBILL_POLL_INTERVAL). It runs with its owner's rights: a role needs
-- `usage` on the schema and `execute` on the function, and no right on the tables. Its search_path is fixed, so the names are Postgres's own and
-- ours, whatever the caller's search_path is.

-- The limit for recording from SQL, set by the owner. A session's setting waybill.max_payload_bytes can lower it, never raise it.
create table waybill.enqueue_limits (
  one               boolean primary key default true check (one),
  max_payload_bytes int     not null default 262144 check (max_payload_bytes between 1 and 10485760)
);

insert into waybill.enqueue_limits default values on conflict do nothing;

create function waybill.outbox_refuse(code text, problem text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'waybill.enqueue: %', problem using errcode = '22023', detail = code, hint = 'docs/errors.md';
end
$$;

create function waybill.outbox_contended() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'waybill.enqueue: the delivery key changed hands three times while the message was being recorded; try again'
    using errcode = '40001', detail = 'delivery_key_contended';
end
$$;

-- UUIDv7: 48 bits of milliseconds, the version, then the random part of a version 4 UUID (RFC 9562, section 5.7).
create function waybill.outbox_new_id() returns uuid language sql volatile set search_path = pg_catalog, pg_temp as $$
  select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' ||
          substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;

create function waybill.outbox_check(kind text, name text, payload jsonb, queue text, delivery_key text,
    available_at timestamptz, priority int, max_attempts int, request_id text, traceparent text, group_key text, order_key text,
    on_dead text, tags text[])
  returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  lowered text := nullif(current_setting('waybill.max_payload_bytes', true), '');
  most int := coalesce((select l.max_payload_bytes from waybill.enqueue_limits l), 262144);
begin
  if lowered ~ '^[0-9]{1,8}$' then
    most := least(most, lowered::int);
  end if;
  if kind is null or kind not in ('email', 'event', 'listener', 'job', 'action') then
    perform waybill.outbox_refuse('unknown_kind', format('%L is no kind of message; the kinds are email, event, listener, job, action', left(kind, 80)));
  end if;
  if name is null or name !~ '^[[:alnum:]._:/-]{1,200}$' then
    perform waybill.outbox_refuse('name_invalid', 'the name must have 1 to 200 letters, digits, ''.'', ''_'', '':'', ''/'' or ''-''');
  end if;
  if queue is null or queue !~ '^[A-Za-z0-9._-]{1,100}$' then
    perform waybill.outbox_refuse('queue_invalid', 'the queue must have 1 to 100 letters, digits, ''.'', ''_'' or ''-''');
  end if;
  if payload is null then
    perform waybill.outbox_refuse('payload_not_json', 'the payload must not be null');
  end if;
  if kind in ('email', 'action') and jsonb_typeof(payload) <> 'object' then
    perform waybill.outbox_refuse('must_be_object', format('the payload of an %s must be an object, not %s', kind, jsonb_typeof(payload)));
  end if;
  if octet_length(payload::text) > most then
    perform waybill.outbox_refuse('payload_too_large', format('the payload has %s bytes; at most %s are allowed (waybill.enqueue_limits)',
      octet_length(payload::text), most));
  end if;
  if delivery_key is not null and (delivery_key ~ '[[:cntrl:]]' or length(delivery_key) not between 1 and 255) then
    perform waybill.outbox_refuse('delivery_key_invalid', 'a delivery key has 1 to 255 printable characters');
  end if;
  if group_key is not null and (group_key ~ '[\x01-\x1f\x7f-\x9f]' or length(group_key) not between 1 and 200) then
    perform waybill.outbox_refuse('group_invalid', 'a group has 1 to 200 characters, and no control characters');
  end if;
  if order_key is not null and (order_key ~ '[\x01-\x1f\x7f-\x9f]' or length(order_key) not between 1 and 200) then
    perform waybill.outbox_refuse('order_key_invalid', 'an order key has 1 to 200 characters, and no control characters');
  end if;
  if cardinality(tags) > 20 or exists (
      select from unnest(tags) as t(tag) where t.tag is null or t.tag ~ '[\x01-\x1f\x7f-\x9f]' or length(t.tag) not between 1 and 200) then
    perform waybill.outbox_refuse('tags_invalid',
      'a message has at most 20 different tags, each of 1 to 200 characters, and no control characters');
  end if;
  if on_dead is null or on_dead not in ('block', 'skip') then
    perform waybill.outbox_refuse('on_dead_invalid', 'on_dead must be block or skip');
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

-- What happens to a taken key: the checks of src/message/duplicate.ts.
create function waybill.outbox_check_duplicate(delivery_key text, available_at timestamptz, on_duplicate text, debounce interval, max_wait interval)
  returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if on_duplicate is not null and on_duplicate not in ('keep', 'replace') then
    perform waybill.outbox_refuse('on_duplicate_invalid', 'on_duplicate must be ''keep'' or ''replace''');
  end if;
  if delivery_key is null and (on_duplicate is not null or debounce is not null or max_wait is not null) then
    perform waybill.outbox_refuse('debounce_needs_key', 'on_duplicate, debounce and max_wait need a delivery_key');
  end if;
  if debounce not between interval '1 millisecond' and interval '30 days' then
    perform waybill.outbox_refuse('debounce_invalid', 'debounce must be an interval from 1 millisecond to 30 days');
  end if;
  if debounce is not null and available_at is not null then
    perform waybill.outbox_refuse('debounce_invalid', 'debounce decides when the message is due: leave out available_at');
  end if;
  if debounce is not null and on_duplicate = 'keep' then
    perform waybill.outbox_refuse('debounce_invalid', 'debounce replaces the message that waits: leave out on_duplicate, or use ''replace''');
  end if;
  if max_wait is not null and debounce is null then
    perform waybill.outbox_refuse('max_wait_invalid', 'max_wait limits debounce, which is missing');
  end if;
  if max_wait not between debounce and interval '365 days' then
    perform waybill.outbox_refuse('max_wait_invalid', 'max_wait must be an interval from debounce to 365 days');
  end if;
end
$$;

-- Records a message of any kind, with the caller's rights, and returns its id. If the delivery key is taken, it records nothing and returns the
-- id of the existing message, or replaces that one (waybill.outbox_replace).
create function waybill.outbox_enqueue(kind text, name text, payload jsonb, queue text, delivery_key text,
    available_at timestamptz, priority int, max_attempts int, request_id text, traceparent text, parent_id uuid, group_key text,
    order_key text, on_duplicate text, debounce interval, max_wait interval, on_dead text, tags text[])
  returns uuid language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
  target text := coalesce(outbox_enqueue.queue, case when outbox_enqueue.kind = 'email' then 'email'
    when outbox_enqueue.kind in ('event', 'listener') then 'events' else 'jobs' end);
  most int := coalesce(outbox_enqueue.max_attempts, case when outbox_enqueue.kind = 'email' then 53 else 10 end); -- src/message/message.ts
  skips boolean := case when outbox_enqueue.order_key is not null and outbox_enqueue.on_dead = 'skip' then true end;
  folded text[] := (select array_agg(t.tag order by t.place) from (
    select u.tag, min(u.place) as place from unnest(outbox_enqueue.tags) with ordinality as u(tag, place) group by u.tag) t);
  made uuid := waybill.outbox_new_id();
  existing uuid;
begin
  perform waybill.outbox_check(outbox_enqueue.kind, outbox_enqueue.name, outbox_enqueue.payload, target, outbox_enqueue.delivery_key,
    outbox_enqueue.available_at, outbox_enqueue.priority, most, outbox_enqueue.request_id, outbox_enqueue.traceparent,
    outbox_enqueue.group_key, outbox_enqueue.order_key, outbox_enqueue.on_dead, folded);
  if num_nonnulls(outbox_enqueue.on_duplicate, outbox_enqueue.debounce, outbox_enqueue.max_wait) > 0 then
    perform waybill.outbox_check_duplicate(outbox_enqueue.delivery_key, outbox_enqueue.available_at, outbox_enqueue.on_duplicate,
      outbox_enqueue.debounce, outbox_enqueue.max_wait);
  end if;
  if outbox_enqueue.on_duplicate = 'replace' or outbox_enqueue.debounce is not null then
    existing := waybill.outbox_replace(
      jsonb_populate_record(null::waybill.outbox_messages, jsonb_build_object(
        'id', made, 'kind', outbox_enqueue.kind, 'name', outbox_enqueue.name, 'queue', target, 'payload', outbox_enqueue.payload,
        'max_attempts', most, 'priority', outbox_enqueue.priority, 'available_at', outbox_enqueue.available_at,
        'delivery_key', outbox_enqueue.delivery_key, 'parent_id', outbox_enqueue.parent_id, 'request_id', outbox_enqueue.request_id,
        'traceparent', outbox_enqueue.traceparent, 'group_key', outbox_enqueue.group_key,
        'order_key', outbox_enqueue.order_key, 'order_skips', skips, 'tags', folded)),
      outbox_enqueue.debounce, coalesce(outbox_enqueue.max_wait, 10 * outbox_enqueue.debounce)); -- src/message/duplicate.ts
    if existing is not null then
      return existing;
    end if;
    perform waybill.outbox_contended();
  end if;
  -- The existing message may die or be cancelled between the two statements; the next round then records this one.
  for round in 1 .. 3 loop
    insert into waybill.outbox_messages
      (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent,
       group_key, order_key, order_skips, tags, revision)
    select made, outbox_enqueue.kind, outbox_enqueue.name, target, outbox_enqueue.payload, most, outbox_enqueue.priority,
           coalesce(outbox_enqueue.available_at, now()), outbox_enqueue.delivery_key, outbox_enqueue.parent_id, outbox_enqueue.request_id,
           outbox_enqueue.traceparent, outbox_enqueue.group_key, outbox_enqueue.order_key, skips, folded, 0
     where outbox_enqueue.delivery_key is null or not exists (
       select from waybill.outbox_keys k
        where k.kind = outbox_enqueue.kind and k.name = outbox_enqueue.name and k.delivery_key = outbox_enqueue.delivery_key
          and (k.pruned_at < 'infinity' or exists (
            select from waybill.outbox_messages h
             where h.id = k.message_id and h.shared_key is not null
               and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null)))
    on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
    if found then
      return made;
    end if;
    select m.id into existing from waybill.outbox_messages m
     where m.kind = outbox_enqueue.kind and m.name = outbox_enqueue.name and m.delivery_key = outbox_enqueue.delivery_key
       and m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null;
    if found then
      return existing;
    end if;
    select k.message_id into existing from waybill.outbox_keys k
     where k.kind = outbox_enqueue.kind and k.name = outbox_enqueue.name and k.delivery_key = outbox_enqueue.delivery_key
       and not exists (select from waybill.outbox_messages m
                        where m.id = k.message_id and (m.dead_at is not null or m.cancelled_at is not null));
    if found then
      return existing;
    end if;
  end loop;
  perform waybill.outbox_contended();
end
$$;

-- Records any kind. It is granted separately, because an action may be reserved for the system.
create function waybill.enqueue_any(kind text, name text, payload jsonb, queue text default null, delivery_key text default null,
    available_at timestamptz default null, priority int default 0, max_attempts int default null,
    request_id text default null, traceparent text default null, parent_id uuid default null,
    group_key text default null, order_key text default null, on_duplicate text default null, debounce interval default null,
    max_wait interval default null, on_dead text default 'block', tags text[] default null)
  returns uuid language sql security definer set search_path = pg_catalog, pg_temp as $$
  select waybill.outbox_enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
$$;

-- Records jobs, events and emails; listeners and actions only for roles that may call waybill.enqueue_any.
create function waybill.enqueue(kind text, name text, payload jsonb, queue text default null, delivery_key text default null,
    available_at timestamptz default null, priority int default 0, max_attempts int default null,
    request_id text default null, traceparent text default null, parent_id uuid default null,
    group_key text default null, order_key text default null, on_duplicate text default null, debounce interval default null,
    max_wait interval default null, on_dead text default 'block', tags text[] default null)
  returns uuid language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  caller text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if enqueue.kind in ('listener', 'action') and not has_function_privilege(caller,
      'waybill.enqueue_any(text, text, jsonb, text, text, timestamptz, int, int, text, text, uuid, text, text, text, interval, interval, text, text[])', 'execute') then
    raise exception 'waybill.enqueue: the role % may record jobs, events and emails, not a message of the kind %', caller, enqueue.kind
      using errcode = '42501', detail = 'forbidden', hint = 'grant execute on function waybill.enqueue_any, see docs/sql.md';
  end if;
  return waybill.outbox_enqueue(enqueue.kind, enqueue.name, enqueue.payload, enqueue.queue, enqueue.delivery_key, enqueue.available_at,
    enqueue.priority, enqueue.max_attempts, enqueue.request_id, enqueue.traceparent, enqueue.parent_id, enqueue.group_key, enqueue.order_key,
    enqueue.on_duplicate, enqueue.debounce, enqueue.max_wait, enqueue.on_dead, enqueue.tags);
end
$$;

-- By default only the owner may call these: the first two run with its rights.
revoke execute on function waybill.enqueue(text, text, jsonb, text, text, timestamptz, int, int, text, text, uuid, text, text, text, interval, interval, text, text[]) from public;
revoke execute on function waybill.enqueue_any(text, text, jsonb, text, text, timestamptz, int, int, text, text, uuid, text, text, text, interval, interval, text, text[]) from public;
revoke execute on function waybill.outbox_enqueue(text, text, jsonb, text, text, timestamptz, int, int, text, text, uuid, text, text, text, interval, interval, text, text[]) from public;
