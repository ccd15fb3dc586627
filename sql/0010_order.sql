-- Order keys (invariant K): messages of one queue with the same order key are delivered one at a time, in the order in which their transactions
-- committed (docs/flow.md).
--
-- Such a message is recorded behind the others of its key: available_at is infinity, so no claim, poll or due check finds it, and order_due has its
-- own due time. When a transaction that recorded or ended such messages commits, it advances their keys: it locks the keys, gives the new messages
-- their positions, and makes the first message of each key available, unless another one of the key is. So positions are in the order of the
-- commits. The locks are held only for the commit, and no statement waits for a transaction that is still at work.
--
-- A message holds its key as long as order_due is set: until it is delivered, cancelled, or dead without blocking. A dead message that blocks
-- still holds its key.

-- Positions in the order of commits. The numbers below 0 that a message has until its commit come from here, too.
create sequence waybill.outbox_order_positions;

-- The keys that a transaction has to advance when it commits. Others see only keys that a commit could not advance; the sweep advances those
-- (src/outbox/order.ts).
create table waybill.outbox_order_changes (
  xact      xid8    not null default pg_current_xact_id(),
  queue     text    not null,
  order_key text    not null,
  is_first  boolean not null default false, -- the first since the transaction last advanced its keys: because of it, the commit advances them
  is_late   boolean not null default false, -- the transaction committed, and the key was not advanced
  primary key (xact, queue, order_key)
);

create index outbox_order_late on waybill.outbox_order_changes (xact) where is_late;

-- The functions of triggers run with their owner's rights, because a deferred trigger runs with those of the role that commits.

-- The last place of an order key, for now a number below 0.
create function waybill.outbox_order_last() returns bigint
  language sql security definer set search_path = pg_catalog, pg_temp
  return -nextval('waybill.outbox_order_positions');

create function waybill.outbox_order_enter() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.order_position := waybill.outbox_order_last();
  if new.status in ('pending', 'failed') then
    new.order_due := new.available_at;
    new.available_at := 'infinity';
  end if;
  return new;
end
$$;

-- Triggers run in the order of their names: after outbox_email, which reads the due time, and before outbox_recorded, which checks the row. There is
-- none before updates: with one, Postgres locks each row once more that a claim or a settlement updates.
create trigger outbox_ordered before insert on waybill.outbox_messages
  for each row when (new.order_key is not null) execute function waybill.outbox_order_enter();

-- Leaves a key to the commit. A setting, which ends with the transaction and is undone with a savepoint, tells whether the transaction left it one
-- before. Only functions with their owner's rights call this.
create function waybill.outbox_order_note(its_queue text, its_key text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  setting constant text := 'outbox.order_' || 'waybill.outbox_order_changes'::regclass::oid;
  here constant text := pg_current_xact_id()::text;
begin
  if current_setting(setting, true) is not distinct from here then
    insert into waybill.outbox_order_changes (queue, order_key) values (its_queue, its_key) on conflict do nothing;
  else
    perform set_config(setting, here, true);
    insert into waybill.outbox_order_changes (queue, order_key, is_first) values (its_queue, its_key, true)
    on conflict (xact, queue, order_key) do update set is_first = true;
  end if;
end
$$;

create function waybill.outbox_order_change() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if old.order_key is not null then
    perform waybill.outbox_order_note(old.queue, old.order_key);
  end if;
  if new.order_key is not null and (old.order_key is null or (old.queue, old.order_key) <> (new.queue, new.order_key)) then
    perform waybill.outbox_order_note(new.queue, new.order_key);
  end if;
  return null;
end
$$;

create trigger outbox_order_entered after insert on waybill.outbox_messages
  for each row when (new.order_due is not null) execute function waybill.outbox_order_change();

-- These columns change when a message ends, when a person retries it, when its death no longer blocks its key, and when a recording replaces it.
create trigger outbox_order_changed after update of queue, order_key, order_due, delivered_at, dead_at, cancelled_at on waybill.outbox_messages
  for each row when (old.order_key is not null or new.order_key is not null) execute function waybill.outbox_order_change();

create trigger outbox_order_deleted after delete on waybill.outbox_messages
  for each row when (old.order_due is not null) execute function waybill.outbox_order_change();

-- Advances the keys that these transactions have to advance. Its plans are kept, also from a time when the tables were small, so they must not scan
-- them. Without generic plans Postgres makes a new one for each commit, in a millisecond.
create function waybill.outbox_order_advance(changed xid8[]) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off set plan_cache_mode = force_generic_plan set jit = off as $$
declare
  -- At other levels the transaction does not see what others have committed since it began.
  is_current constant boolean := current_setting('transaction_isolation') in ('read committed', 'read uncommitted');
  locks int[];
  l int;
begin
  perform set_config('outbox.order_' || 'waybill.outbox_order_changes'::regclass::oid, '', true);

  -- Every transaction takes the locks in the same order, so commits do not deadlock. One with many keys locks them all at once (0), so that it does
  -- not fill Postgres's lock table. 1466005858 is "Wayb".
  select array_agg(distinct coalesce(nullif(hashtext(c.queue || ' ' || c.order_key), 0), 1)) into locks
    from waybill.outbox_order_changes c where c.xact = any(changed);
  if cardinality(locks) > 32 then
    perform pg_advisory_xact_lock(1466005858, 0);
  else
    perform pg_advisory_xact_lock_shared(1466005858, 0);
    foreach l in array coalesce(locks, '{}') loop
      perform pg_advisory_xact_lock(1466005858, l);
    end loop;
  end if;

  -- `next` has the first message of each key among those with a position: one that is available, in delivery, or dead and blocking sorts before those
  -- that wait. `entering` has the new messages of this transaction, in the order in which it recorded them; others do not see them yet. The first
  -- of a key without others is available at once. A message that another transaction is changing now is left to the sweep, because this commit must
  -- not wait for that transaction.
  with next as materialized (
    select c.queue, c.order_key, n.ctid, n.available_at = 'infinity' and n.dead_at is null as waits
      from waybill.outbox_order_changes c cross join lateral (
        select m.ctid, m.available_at, m.dead_at from waybill.outbox_messages m
         where m.queue = c.queue and m.order_key = c.order_key and m.order_due is not null and m.delivered_at is null and m.cancelled_at is null
           and m.order_position > 0
         order by m.available_at, m.order_position limit 1) n
     where c.xact = any(changed) and is_current),
  entering as materialized (
    select e.ctid, e.order_position, n.ctid is null and row_number() over (partition by c.queue, c.order_key order by e.order_position desc) = 1 as is_first
      from waybill.outbox_order_changes c cross join lateral (
        select m.ctid, m.order_position from waybill.outbox_messages m
         where m.queue = c.queue and m.order_key = c.order_key and m.order_due is not null and m.available_at = 'infinity' and m.order_position < 0
        offset 0) e
      left join next n on n.queue = c.queue and n.order_key = c.order_key
     where c.xact = any(changed) order by e.order_position desc),
  places as materialized (
    select ctid, is_first and is_current as is_available, nextval('waybill.outbox_order_positions') as position from entering),
  entered as (
    update waybill.outbox_messages m
       set order_position = p.position, available_at = case when p.is_available then m.order_due else m.available_at end, revision = m.revision + 1
      from places p where m.ctid = p.ctid and m.ctid = any(array(select ctid from places))),
  free as materialized (
    select m.ctid from waybill.outbox_messages m
     where m.ctid = any(array(select ctid from next where waits)) and m.available_at = 'infinity' and m.status in ('pending', 'failed')
       for no key update skip locked),
  advanced as (
    update waybill.outbox_messages m set available_at = m.order_due, revision = m.revision + 1
     where m.ctid = any(array(select ctid from free)) returning m.queue, m.order_key),
  missed as materialized (
    select n.queue, n.order_key from next n left join advanced a on a.queue = n.queue and a.order_key = n.order_key
     where n.waits and a.queue is null),
  late as (
    update waybill.outbox_order_changes c set is_late = true
     where c.xact = any(changed) and not c.is_late
       and (not is_current or exists (select from missed m where m.queue = c.queue and m.order_key = c.order_key)))
  delete from waybill.outbox_order_changes c
   where c.xact = any(changed) and is_current and not exists (select from missed m where m.queue = c.queue and m.order_key = c.order_key);
end
$$;

create function waybill.outbox_order_commit() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform waybill.outbox_order_advance(array[new.xact]);
  return null;
end
$$;

create constraint trigger outbox_order_committed after insert or update of is_first on waybill.outbox_order_changes
  deferrable initially deferred for each row when (new.is_first) execute function waybill.outbox_order_commit();
