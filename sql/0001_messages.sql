-- The outbox: one row is one message, and the row is the only truth. For states and transitions see src/message/transitions.ts and
-- docs/states.md.

create schema if not exists waybill;

create table waybill.outbox_messages (
  id             uuid        primary key, -- UUIDv7, made by the recording process, so that ids sort by time on every Postgres
  kind           text        not null,    -- email, event, listener, job, action
  name           text        not null,    -- name of the job, the event, the action …
  queue          text        not null,
  payload        jsonb       not null,
  status         text        not null default 'pending', -- pending, sending, failed, delivered, dead, cancelled
  attempts       int         not null default 0,
  expirations    int         not null default 0, -- expired leases; the worker may have died of this message. From 2 on it runs alone (invariant F)
  max_attempts   int         not null,
  priority       int         not null default 0, -- higher goes first
  available_at   timestamptz not null default now(), -- due from this time on; each retry moves it
  relayed_at     timestamptz,             -- null: the message waits. A claim sets it, a retry clears it

  -- The claim: set while the status is sending, null otherwise.
  claim_token    uuid,                    -- required to settle or extend
  claimed_by     text,                    -- the worker
  claimed_at     timestamptz,
  claimed_until  timestamptz,             -- end of the lease
  -- True: the message was prefetched, and its attempt begins when outbox_begun lists it. False: the attempt began at the claim. Null: unknown, so
  -- an expired lease counts as an attempt.
  prefetched     boolean,

  -- The end: at most one of the three times is set.
  delivered_at   timestamptz,
  dead_at        timestamptz,
  cancelled_at   timestamptz,
  -- recipient (the receiving server rejected it for good), permanent (no retry can help), exhausted (no attempt is left), expired (the lease ran
  -- out in the last attempt). Null: ended by hand.
  dead_cause     text,
  last_error     text,

  -- The origin.
  delivery_key   text collate "C", -- a message with the same kind, name and key is recorded only once
  group_key      text collate "C", -- what it belongs to, such as a tenant
  order_key      text collate "C", -- what it must be in order with, such as an account (0010_order.sql)
  order_position bigint,                  -- its place among the messages of its order key; below 0 until its transaction commits
  order_due      timestamptz,             -- its own due time, as long as it holds back the messages behind it: until it ends and does not block
  order_skips    boolean,                 -- true: if it dies, its key goes on. Null: its death blocks the key until a person decides
  shared_key     text collate "C", -- its delivery key, while a newer or an older message of the key has it as delivery_key (0002_keys.sql)
  tags           text[] collate "C", -- what people find it by (docs/search.md); null: none
  recipient_hashes bytea[],               -- of an email: a keyed hash of each address, for searches (0008_email.sql)
  parent_id      uuid,                    -- the message whose delivery recorded this one
  request_id     text,
  traceparent    text,                    -- W3C Trace Context
  created_at     timestamptz not null default now(),

  replacements   int,                     -- how often a later recording of its key replaced its payload; null: never
  ends           int         not null default 0, -- recorded ends of its attempts; from the first on, the audit counters have it (0005_audit.sql)
  -- 0 when recorded, and incremented by each change that the engine makes. Any other write is checked (outbox_check_row).
  revision       int         not null
) with (
  fillfactor = 70,                          -- room on the page for the new row versions of claim and settle
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);

-- The waiting messages, in the order of claims: those without a group by due time, and each group by due time. Claimed and settled rows are not
-- in it: its size is the backlog alone (invariant I). The condition is short because each statement that writes a row prepares it again: with the
-- rules of a claim in it, claiming one message took a tenth longer. `status` and `ends` are there for counts and for the list of failed messages, which
-- need not read the rows then. Whatever changes them changes the other columns too.
create index outbox_waiting on waybill.outbox_messages (queue, priority, group_key, available_at, status) include (ends)
  where relayed_at is null and cancelled_at is null;

-- The waiting messages of groups in the order of their due times, so that groups whose messages are all for later cost nothing.
create index outbox_grouped on waybill.outbox_messages (queue, priority, available_at)
  where group_key is not null and relayed_at is null and cancelled_at is null;

-- Suspects, which run alone (invariant F). Settled suspects are in it too; they are few.
create index outbox_suspects on waybill.outbox_messages (queue, available_at) where expirations > 1;

-- Claimed messages that are not settled, for the sweep. The fleet's slots bound its size. Extending a lease changes none of its columns, so the
-- update stays HOT.
create index outbox_in_flight on waybill.outbox_messages (relayed_at)
  where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null;

-- Dead letters: for the list, newest first, for pruning, and to find those that block their order key.
create index outbox_dead on waybill.outbox_messages (dead_at, order_due) where dead_at is not null;

-- Cancelled messages: for counting and pruning.
create index outbox_cancelled on waybill.outbox_messages (cancelled_at) where cancelled_at is not null;

-- A delivery key is unique. Dead and cancelled messages free theirs, so that the cause can be fixed and the message enqueued again. The key comes
-- first, so that a search for the beginning of a key needs no index of its own.
create unique index outbox_delivery_key on waybill.outbox_messages (delivery_key, kind, name)
  where delivery_key is not null and dead_at is null and cancelled_at is null;

-- The same search among the messages that are not in outbox_delivery_key any more, or not yet.
create index outbox_other_keys on waybill.outbox_messages (coalesce(delivery_key, shared_key))
  where shared_key is not null or (delivery_key is not null and (dead_at is not null or cancelled_at is not null));

create index outbox_tags on waybill.outbox_messages using gin (tags) where tags is not null;

-- The messages of each order key that hold it. Those that wait behind another one have the due time infinity, so they come last.
create index outbox_order on waybill.outbox_messages (queue, order_key, available_at, order_position) where order_due is not null;

-- The rules of a row. Each statement would prepare a CHECK again, a third of the cost of an enqueue (npm run bench -- record). So the engine
-- vouches for its own rows, and a trigger checks the others. A row can bypass the trigger with a forged revision, or with triggers turned off.
-- `waybill outbox verify` names such rows, and the relay sets them to dead with these texts (src/operate/unfit.ts). `return` binds the names when
-- the function is created (Postgres 14), so a caller's search_path changes nothing.
create function waybill.outbox_flaw(m waybill.outbox_messages) returns text language sql immutable
return case
  when m.kind <> all ('{email,event,listener,job,action}') then format('unknown_kind: %L is no kind of message', left(m.kind, 80))
  when m.name ~ '[[:cntrl:][:space:]]' or length(m.name) not between 1 and 200 then
    'name_invalid: a name has 1 to 200 characters without spaces'
  when m.queue !~ '^[A-Za-z0-9._-]{1,100}$' then
    format('queue_invalid: the queue %L must have 1 to 100 letters, digits, ''.'', ''_'' or ''-''', left(m.queue, 80))
  when m.priority not between -1000 and 1000 then format('priority_invalid: the priority %s is not from -1000 to 1000', m.priority)
  when m.max_attempts not between 1 and 1000 then format('max_attempts_invalid: max_attempts is %s, not from 1 to 1000', m.max_attempts)
  when m.attempts < 0 or m.attempts > m.max_attempts or m.expirations not between 0 and 1000000 then
    format('attempts_invalid: %s attempts of %s, %s of them expired', m.attempts, m.max_attempts, m.expirations)
  when coalesce(m.delivery_key, m.shared_key) ~ '[[:cntrl:]]' or length(coalesce(m.delivery_key, m.shared_key)) not between 1 and 255 then
    'delivery_key_invalid: a delivery key has 1 to 255 printable characters'
  when m.group_key ~ '[\x01-\x1f\x7f-\x9f]' or length(m.group_key) not between 1 and 200 then
    'group_invalid: a group has 1 to 200 characters, and no control characters'
  when m.order_key ~ '[\x01-\x1f\x7f-\x9f]' or length(m.order_key) not between 1 and 200 then
    'order_key_invalid: an order key has 1 to 200 characters, and no control characters'
  when cardinality(m.tags) not between 1 and 20 or array_ndims(m.tags) <> 1
    or exists (select from unnest(m.tags) as t(tag) where t.tag is null or t.tag ~ '[\x01-\x1f\x7f-\x9f]' or length(t.tag) not between 1 and 200) then
    'tags_invalid: a message has at most 20 tags, each of 1 to 200 characters, and no control characters'
  when m.request_id ~ '[[:cntrl:]]' or length(m.request_id) not between 1 and 200 then
    'request_id_invalid: a request id has 1 to 200 printable characters'
  when m.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
    'traceparent_invalid: a traceparent looks like 00-<32 hex digits>-<16 hex digits>-<2 hex digits>'
  when m.revision not between 0 and 1000000000 then format('revision_invalid: the revision %s is not one that the engine counts', m.revision)
  -- The engine sets all other times, close to now. A message whose time is far away would never be processed.
  when coalesce(case when m.available_at = 'infinity' and m.order_key is not null then m.order_due end, m.available_at)
         not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
    or m.created_at not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
    or not isfinite(coalesce(m.order_due, m.created_at)) or not isfinite(coalesce(m.relayed_at, m.created_at)) or not isfinite(coalesce(m.claimed_at, m.created_at))
    or not isfinite(coalesce(m.claimed_until, m.created_at)) or not isfinite(coalesce(m.delivered_at, m.created_at))
    or not isfinite(coalesce(m.dead_at, m.created_at)) or not isfinite(coalesce(m.cancelled_at, m.created_at)) then
    'invalid_time: every time must be finite, available_at (or order_due) and created_at not beyond the year 9999'
  -- The times determine the status, and at most one of them is an end. A sending row has all four claim columns; any other row has none.
  when num_nonnulls(m.claim_token, m.claimed_by, m.claimed_at, m.claimed_until) <> case m.status when 'sending' then 4 else 0 end
    or num_nonnulls(m.delivered_at, m.dead_at, m.cancelled_at) > 1
    or m.status <> case when m.delivered_at is not null then 'delivered' when m.dead_at is not null then 'dead'
                        when m.cancelled_at is not null then 'cancelled'
                        when m.claim_token is not null and m.relayed_at is not null then 'sending'
                        when m.status = 'failed' then 'failed' else 'pending' end then
    format('state_invalid: the columns of the row do not go with its status %L (docs/states.md)', left(m.status, 40))
end;

-- The search_path is fixed, so the names are Postgres's own, whatever the caller's search_path is.
create function waybill.outbox_check_row() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  flaw text := waybill.outbox_flaw(new);
begin
  if flaw is not null then
    raise exception 'the message % cannot be stored like this: %', new.id, flaw
      using errcode = 'check_violation', constraint = 'outbox_rules', schema = 'waybill', table = 'outbox_messages', hint = 'docs/states.md';
  end if;
  new.revision := coalesce(new.revision, 0);
  return new;
end
$$;

create trigger outbox_recorded before insert on waybill.outbox_messages
  for each row when (new.revision is distinct from 0) execute function waybill.outbox_check_row();

create trigger outbox_changed after update on waybill.outbox_messages
  for each row when (new.revision = old.revision) execute function waybill.outbox_check_row();
