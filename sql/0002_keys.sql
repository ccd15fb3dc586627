-- Keys that make recording a message, or other work, happen only once.

-- Delivery keys of pruned messages, kept until the retention of keys is over. The keys of all other messages are in their rows. A row whose
-- pruned_at is infinity names a message that waits for an older one with the same key (waybill.outbox_replace). When that message is cancelled, the
-- key is free, and the sweep removes the row.
create table waybill.outbox_keys (
  kind         text        not null,
  name         text        not null,
  delivery_key text        not null collate "C",
  message_id   uuid        not null,
  pruned_at    timestamptz not null default now(),
  primary key (kind, name, delivery_key)
);

create index outbox_keys_pruned on waybill.outbox_keys (pruned_at);

-- Records one message with a delivery key; false means that the key is taken. It is a function so that the connection keeps its plan, also behind
-- a transaction pooler: planning the two lookups of the key costs more than the rest of an enqueue. Its operators are qualified, because a
-- search_path of its own would cost each call some microseconds.
create function waybill.outbox_record(uuid, text, text, text, jsonb, int, int, timestamptz, text, uuid, text, text, text default null,
    text default null, boolean default null, text[] default null)
  returns boolean language plpgsql as $$
begin
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent,
     group_key, order_key, order_skips, tags, revision)
  select $1, $2, $3, $4, $5, $6, $7, coalesce($8, pg_catalog.now()), $9, $10, $11, $12, $13, $14, $15, $16, 0
   where not exists (
     select from waybill.outbox_keys k
      where k.kind operator(pg_catalog.=) $2 and k.name operator(pg_catalog.=) $3 and k.delivery_key operator(pg_catalog.=) $9
        and (k.pruned_at operator(pg_catalog.<) 'infinity' or exists (
          select from waybill.outbox_messages h
           where h.id operator(pg_catalog.=) k.message_id and h.shared_key is not null
             and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null)))
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
  return found;
end
$$;

-- Records one message with `onDuplicate: 'replace'` (docs/debounce.md), and returns its id. If it replaced a message that waits, it returns the id
-- of that one. Null means that other transactions took and freed the key three times meanwhile.
--
-- A message that was never claimed is replaced in place. From a delivered message, the new one takes the key over. While the older message is
-- being sent or waits for a retry, it keeps the key: the new one has its key in shared_key and is in no index of waiting messages, until the
-- sweep has ended the older one (src/outbox/replace.ts). So the application never writes to a row that is being sent. Its lock would last until
-- the application commits, and a worker could neither settle nor extend meanwhile. Its plans are kept, also from a time when outbox_keys was empty.
create function waybill.outbox_replace(n waybill.outbox_messages, debounce interval, max_wait interval)
  returns uuid language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  moment timestamptz := clock_timestamp();
  latest uuid;
  m waybill.outbox_messages;
  due timestamptz;
  own timestamptz;
  moves boolean;
  taken waybill.outbox_keys;
  owns boolean := false; -- this call wrote the key's row into outbox_keys: no other transaction records a new message with the key
  follows boolean;
begin
  for round in 1 .. 3 loop
    latest := coalesce(
      (select k.message_id from waybill.outbox_keys k
        where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key and k.pruned_at = 'infinity' and not owns),
      (select o.id from waybill.outbox_messages o
        where o.kind = n.kind and o.name = n.name and o.delivery_key = n.delivery_key and o.dead_at is null and o.cancelled_at is null));
    -- The first round skips a locked row: if a claim has the lock, the row will be in flight, and must not be locked here. The insert below waits
    -- for the transaction that has the lock. (A claim that commits in the microseconds between the snapshot of this statement and its lock leaves
    -- the row locked all the same, until the caller commits.)
    if round = 1 then
      select * into m from waybill.outbox_messages o where o.id = latest and o.status = 'pending' and o.ends = 0 for no key update skip locked;
    else
      select * into m from waybill.outbox_messages o where o.id = latest and o.status = 'pending' and o.ends = 0 for no key update;
    end if;
    if found then
      -- After max_wait, a message that is due keeps its time, and so its place in the queue.
      own := coalesce(m.order_due, m.available_at);
      due := case when debounce is null then coalesce(n.available_at, own)
                  when m.created_at + max_wait <= moment then least(own, moment)
                  else least(moment + debounce, m.created_at + max_wait) end;
      if n.kind = 'email' and due > m.created_at and jsonb_typeof(n.payload) = 'object' and not n.payload ? 'date' then
        n.payload := n.payload || jsonb_build_object('date', to_char(due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')); -- 0008_email.sql
      end if;
      -- It keeps its place in its order key. In another one it gets the last place, and waits for the commit (0010_order.sql).
      moves := n.order_key is not null and (m.queue <> n.queue or m.order_key is distinct from n.order_key);
      update waybill.outbox_messages o
         set queue = n.queue, payload = n.payload, max_attempts = n.max_attempts, priority = n.priority,
             available_at = case when moves or o.available_at = 'infinity' and n.order_key is not null then 'infinity' else due end,
             parent_id = n.parent_id, request_id = n.request_id, traceparent = n.traceparent, group_key = n.group_key, order_key = n.order_key,
             order_position = case when moves then waybill.outbox_order_last()
                                   when n.order_key is not null then o.order_position end,
             order_due = case when n.order_key is not null then due end, order_skips = n.order_skips, tags = n.tags,
             replacements = coalesce(o.replacements, 0) + 1, revision = o.revision + 1
       where o.id = m.id;
      delete from waybill.outbox_keys k
       where owns and k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key;
      return m.id;
    end if;

    if not owns then
      insert into waybill.outbox_keys (kind, name, delivery_key, message_id, pruned_at)
      values (n.kind, n.name, n.delivery_key, n.id, 'infinity') on conflict do nothing;
      owns := found;
    end if;
    if not owns then
      -- A statement of its own waits for the lock, so that the next one sees what was committed meanwhile.
      select * into taken from waybill.outbox_keys k
       where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key for update;
      continue when not found or taken.pruned_at = 'infinity' and exists (
        select from waybill.outbox_messages o
         where o.id = taken.message_id and o.shared_key is not null and o.delivered_at is null and o.dead_at is null and o.cancelled_at is null);
      -- Not updated: the sweep, which may look at the row now, would see its new message_id, and not yet the message.
      delete from waybill.outbox_keys k where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key;
      insert into waybill.outbox_keys (kind, name, delivery_key, message_id, pruned_at)
      values (n.kind, n.name, n.delivery_key, n.id, 'infinity');
      owns := true;
    end if;
    update waybill.outbox_messages o set shared_key = o.delivery_key, delivery_key = null, revision = o.revision + 1
     where o.kind = n.kind and o.name = n.name and o.delivery_key = n.delivery_key
       and o.delivered_at is not null and o.dead_at is null and o.cancelled_at is null;
    follows := exists (
      select from waybill.outbox_messages o
       where o.kind = n.kind and o.name = n.name and o.delivery_key = n.delivery_key and o.dead_at is null and o.cancelled_at is null
         and (o.status <> 'pending' or o.ends > 0));
    insert into waybill.outbox_messages
      (id, kind, name, queue, payload, max_attempts, priority, available_at, parent_id, request_id, traceparent,
       group_key, order_key, order_skips, tags, delivery_key, shared_key, relayed_at, revision)
    values
      (n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, moment + debounce, now()),
       n.parent_id, n.request_id, n.traceparent, n.group_key, n.order_key, n.order_skips, n.tags,
       case when not follows then n.delivery_key end, case when follows then n.delivery_key end, case when follows then now() end, 0)
    on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
    if found then
      delete from waybill.outbox_keys k
       where not follows and k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key;
      return n.id;
    end if;
  end loop;
  return null;
end
$$;

-- Work that was done once. The key, its answer and the effect commit together or not at all.
create table waybill.outbox_idempotency (
  scope       text        not null, -- an action and its caller (Idempotency-Key), or a handler (idempotent)
  key         text        not null,
  fingerprint text,                 -- of the arguments sent with an Idempotency-Key; the same key with other arguments is an error
  answer      text,                 -- JSON as text, because jsonb cannot hold U+0000
  created_at  timestamptz not null default clock_timestamp(),
  primary key (scope, key)
);

-- For pruning: an Idempotency-Key is kept for a day, a handler's key as long as a delivery key.
create index outbox_idempotency_asked on waybill.outbox_idempotency (created_at) where fingerprint is not null;
create index outbox_idempotency_handled on waybill.outbox_idempotency (created_at) where fingerprint is null;
