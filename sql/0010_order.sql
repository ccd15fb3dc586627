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
  is_late   boolean not null default false, -- the transaction committed, and the key was not advanced
  primary key (xact, queue, order_key)
);

create index outbox_order_late on waybill.outbox_order_changes (xact) where is_late;

-- The functions run with their owner's rights, because a deferred trigger runs with those of the role that commits.

-- Gives a message the last place of an order key, for now a number below 0, and leaves the key to the commit.
create function waybill.outbox_order_last(queue text, order_key text) returns bigint
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_order_changes (queue, order_key) values ($1, $2) on conflict do nothing;
  return -nextval('waybill.outbox_order_positions');
end
$$;

create function waybill.outbox_order_enter() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.order_position := waybill.outbox_order_last(new.queue, new.order_key);
  if new.status in ('pending', 'failed') then
    new.order_due := new.available_at;
    new.available_at := 'infinity';
  end if;
  return new;
end
$$;

-- Triggers run in the order of their names: after outbox_dated, which reads the due time, and before outbox_recorded, which checks the row. There is
-- none before updates: with one, Postgres locks each row once more that a claim or a settlement updates.
create trigger outbox_ordered before insert on waybill.outbox_messages
  for each row when (new.order_key is not null) execute function waybill.outbox_order_enter();

create function waybill.outbox_order_change() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into waybill.outbox_order_changes (queue, order_key) values (old.queue, old.order_key) on conflict do nothing;
  return null;
end
$$;

-- These columns change when a message ends, when a person retries it, when its death no longer blocks its key, and when a recording replaces it.
create trigger outbox_order_changed after update of queue, order_key, order_due, delivered_at, dead_at, cancelled_at on waybill.outbox_messages
  for each row when (old.order_key is not null) execute function waybill.outbox_order_change();

create trigger outbox_order_deleted after delete on waybill.outbox_messages
  for each row when (old.order_due is not null) execute function waybill.outbox_order_change();

-- Advances the keys that these transactions have to advance.
create function waybill.outbox_order_advance(changed xid8[]) returns void
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  stripe int;
begin
  -- Every transaction takes the locks in the same order, so commits do not deadlock. Keys share 256 locks, so that a large transaction does not
  -- fill Postgres's lock table. 1466005858 is "Wayb".
  for stripe in
    select distinct (hashtextextended(c.queue || ' ' || c.order_key, 0) & 255)::int
      from waybill.outbox_order_changes c where c.xact = any(changed) order by 1
  loop
    perform pg_advisory_xact_lock(1466005858, stripe);
  end loop;

  -- The new messages of this transaction, in the order in which it recorded them. Other transactions do not see them.
  with entering as materialized (
    select e.id
      from waybill.outbox_order_changes c cross join lateral (
        select m.id, m.order_position from waybill.outbox_messages m
         where m.queue = c.queue and m.order_key = c.order_key and m.order_due is not null and m.available_at = 'infinity' and m.order_position < 0
        offset 0) e
     where c.xact = any(changed) order by e.order_position desc),
  numbered as materialized (
    select id, nextval('waybill.outbox_order_positions') as position from entering)
  update waybill.outbox_messages m set order_position = n.position, revision = m.revision + 1
    from numbered n where m.id = n.id;

  -- At other levels the transaction does not see what others have committed since it began.
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    update waybill.outbox_order_changes c set is_late = true where c.xact = any(changed) and not c.is_late;
    return;
  end if;

  -- `first` has the first message of each key, if it waits behind. One that is available, in delivery, or dead and blocking sorts before it. A
  -- message that another transaction is changing now is left to the sweep (`missed`), because this commit must not wait for that transaction.
  with first as materialized (
    select c.queue, c.order_key, f.id
      from waybill.outbox_order_changes c cross join lateral (
        select m.id, m.available_at, m.dead_at from waybill.outbox_messages m
         where m.queue = c.queue and m.order_key = c.order_key and m.order_due is not null and m.delivered_at is null and m.cancelled_at is null
         order by m.available_at, m.order_position limit 1) f
     where c.xact = any(changed) and f.available_at = 'infinity' and f.dead_at is null),
  free as materialized (
    select m.id from waybill.outbox_messages m
     where m.id = any(array(select f.id from first f)) and m.available_at = 'infinity' and m.status in ('pending', 'failed')
       for no key update skip locked),
  advanced as (
    update waybill.outbox_messages m set available_at = m.order_due, revision = m.revision + 1
     where m.id = any(array(select id from free))),
  missed as materialized (
    select f.queue, f.order_key from first f left join free on free.id = f.id where free.id is null),
  late as (
    update waybill.outbox_order_changes c set is_late = true
     where c.xact = any(changed) and not c.is_late
       and exists (select from missed m where m.queue = c.queue and m.order_key = c.order_key))
  delete from waybill.outbox_order_changes c
   where c.xact = any(changed) and not exists (select from missed m where m.queue = c.queue and m.order_key = c.order_key);
end
$$;

create function waybill.outbox_order_commit() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  -- The first call in a transaction advances all its keys; the others find nothing to do.
  if exists (select from waybill.outbox_order_changes c
              where c.xact = new.xact and c.queue = new.queue and c.order_key = new.order_key and not c.is_late) then
    perform waybill.outbox_order_advance(array[new.xact]);
  end if;
  return null;
end
$$;

create constraint trigger outbox_order_committed after insert on waybill.outbox_order_changes
  deferrable initially deferred for each row execute function waybill.outbox_order_commit();
