-- record one
insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision) values ($1, $2, $3, $4, $5::text::jsonb, $6, 0);

-- record one with a key
select $1::text as id where waybill.outbox_record($1::text::uuid, $2::text::text, $3::text::text, $4::text::text, $5::text::jsonb, $6::text::int, $7::text::int, $8::text::timestamptz, $9::text::text, $10::text::uuid, $11::text::text, $12::text::text);

-- record one with a group, an order key and tags
insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, group_key, order_key, tags, revision) values ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9::text::text[], 0);

-- record one with all three keys and tags
select $1::text as id where waybill.outbox_record($1::text::uuid, $2::text::text, $3::text::text, $4::text::text, $5::text::jsonb, $6::text::int, $7::text::int, $8::text::timestamptz, $9::text::text, $10::text::uuid, $11::text::text, $12::text::text, $13::text::text, $14::text::text, $15::text::boolean, $16::text::text[]);

-- record
insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, revision)
  select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
         n.delivery_key, n.parent_id, n.request_id, n.traceparent, 0 from unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::jsonb[], $6::text::int[], $7::text::int[], $8::text::timestamptz[], $9::text::text[], $10::text::uuid[], $11::text::text[], $12::text::text[]) as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent)
where n.delivery_key is null or not exists (
  select from waybill.outbox_keys k where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null)))
on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing
returning id::text as id;

-- record with a group, an order key or tags
insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, group_key, order_key, order_skips, tags, revision)
  select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
         n.delivery_key, n.parent_id, n.request_id, n.traceparent, n.group_key, n.order_key, n.order_skips, n.tags::text[], 0 from unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::jsonb[], $6::text::int[], $7::text::int[], $8::text::timestamptz[], $9::text::text[], $10::text::uuid[], $11::text::text[], $12::text::text[], $13::text::text[], $14::text::text[], $15::text::boolean[], $16::text::text[]) as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, group_key, order_key, order_skips, tags)
where n.delivery_key is null or not exists (
  select from waybill.outbox_keys k where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null))) order by n.id
on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing
returning id::text as id;

-- holders
select m.id::text as id, m.status, m.kind, m.name, m.delivery_key as key
  from unnest($1::text::text[], $2::text::text[], $3::text::text[]) as n(kind, name, delivery_key)
  join waybill.outbox_messages m on m.kind = n.kind and m.name = n.name and m.delivery_key = n.delivery_key
 where m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null
union all
select k.message_id::text, coalesce(m.status, 'delivered'), k.kind, k.name, k.delivery_key
  from unnest($1::text::text[], $2::text::text[], $3::text::text[]) as n(kind, name, delivery_key)
  join waybill.outbox_keys k on k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key
  left join waybill.outbox_messages m on m.id = k.message_id
 where m.dead_at is null and m.cancelled_at is null;

-- record with replace
select n.id::text as given, waybill.outbox_replace(
  jsonb_populate_record(null::waybill.outbox_messages, to_jsonb(n)),
  (n.debounce * interval '1 millisecond'), (n.max_wait * interval '1 millisecond'))::text as id
from unnest($1::text::uuid[], $2::text::text[], $3::text::text[], $4::text::text[], $5::text::jsonb[], $6::text::int[], $7::text::int[], $8::text::timestamptz[], $9::text::text[], $10::text::uuid[], $11::text::text[], $12::text::text[], $13::text::text[], $14::text::text[], $15::text::boolean[], $16::text::text[], $17::text::float8[], $18::text::float8[])
  as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, group_key, order_key, order_skips, tags, debounce, max_wait);

-- end older messages
with next as (
  select k.kind, k.name, k.delivery_key, k.message_id from waybill.outbox_keys k
   where k.pruned_at = 'infinity'
     and exists (select from waybill.outbox_messages m where m.kind = k.kind and m.name = k.name and m.delivery_key = k.delivery_key and m.delivery_key is not null
        and m.dead_at is null and m.cancelled_at is null and not m.status = any ('{sending}'))
   limit $1 for update skip locked),
older as (
  select o.id, o.done from next
    cross join lateral (
      select m.id from waybill.outbox_messages m where m.id = next.message_id and m.shared_key is not null and m.delivered_at is null and m.dead_at is null and m.cancelled_at is null for update skip locked) newer
    cross join lateral (
      select m.id, m.delivered_at is not null as done from waybill.outbox_messages m
       where m.kind = next.kind and m.name = next.name and m.delivery_key = next.delivery_key and m.delivery_key is not null
        and m.dead_at is null and m.cancelled_at is null and not m.status = any ('{sending}') for update skip locked) o),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, last_error = 'superseded: a newer message with its delivery key was recorded', ends = m.ends + 1
   where m.id = any(array(select id from older where not done)) and m.status = any ('{pending,failed}')
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
passed as (
  update waybill.outbox_messages m set revision = m.revision + 1, shared_key = m.delivery_key, delivery_key = null
   where m.id = any(array(select id from older where done)))
select count(*)::text as n from older;

-- take free keys
with next as (
  select k.kind, k.name, k.delivery_key, k.message_id from waybill.outbox_keys k
   where k.pruned_at = 'infinity'
     and (not exists (select from waybill.outbox_messages m where m.kind = k.kind and m.name = k.name and m.delivery_key = k.delivery_key and m.delivery_key is not null
        and m.dead_at is null and m.cancelled_at is null)
       or not exists (select from waybill.outbox_messages m where m.id = k.message_id and m.shared_key is not null and m.delivered_at is null and m.dead_at is null and m.cancelled_at is null))
   limit $1 for update skip locked),
newer as (
  select m.id from next cross join lateral (
    select m.id from waybill.outbox_messages m where m.id = next.message_id and m.shared_key is not null and m.delivered_at is null for update skip locked) m),
taken as (
  delete from waybill.outbox_keys k using next n
   where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key
     and (n.message_id = any(array(select id from newer))
       or not exists (select from waybill.outbox_messages m where m.id = n.message_id and m.shared_key is not null and m.delivered_at is null))),
moved as (
  update waybill.outbox_messages m set revision = m.revision + 1, delivery_key = m.shared_key, shared_key = null, relayed_at = case when m.dead_at is null and m.cancelled_at is null then null else m.relayed_at end
   where m.id = any(array(select id from newer))
  returning m.id)
select count(*)::text as n from moved;

-- mark what begins
with quickly as (select set_config('synchronous_commit', 'off', true))
insert into waybill.outbox_begun (worker, part, ids) select $1, $2, $3::int[] from quickly
on conflict (worker, part) do update set ids = excluded.ids, at = now();

-- claim
with
due as (
  select ctid, attempts, max_attempts from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is null and available_at <= now()
     and queue = $2 and priority = $3 and available_at >= coalesce(to_timestamp($7::float8), '-infinity') and not exists (select from waybill.queues where name = $2 and (is_limited or paused_at is not null or parked_at is not null or held_until is not null or ramp_from is not null) and (((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()) or is_limited or greatest(ramp_from, held_until, paused_until) > (now() - ramp)))
   order by group_key, available_at limit $1 for update skip locked),
chosen as (
  select ctid, begins from (
    select ctid, (attempts + 1) < max_attempts as may_wait, $6::int8 is null or row_number() over () <= $6::int8 as begins from due) d
   where begins or may_wait)
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $5, claimed_at = now(), claimed_until = (now() + ($4 * interval '1 millisecond')), relayed_at = now(), prefetched = case when $6::int8 is not null then m.ctid <> all(array(select ctid from chosen where begins)) end
 where m.ctid = any(array(select ctid from chosen))
returning m.id as id, m.kind as kind, m.name as name, m.payload::text as payload, m.attempts as attempts, m.max_attempts as most, m.claim_token as token, m.delivery_key as key, m.request_id as request, m.traceparent as traceparent, date_part('epoch', m.created_at) as created, m.prefetched as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at))) as lag, m.order_key as "order", array_to_json(m.tags)::text as tags;

-- claim of some
with room as materialized (select * from waybill.queue_room($2, $7)),
due as (
  select ctid, attempts, max_attempts from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 and ($8::text is null or kind = any($8::text::text[])) and ($9::text is null or id = any($9::text::uuid[])) then true end and group_key is null and available_at <= now()
     and queue = $2 and priority = $3 and not exists (select from waybill.queues where name = $2 and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))
   order by group_key, available_at limit least($1, (select room from room)) for update skip locked),
chosen as (
  select ctid, begins from (
    select ctid, (attempts + 1) < max_attempts as may_wait, $6::int8 is null or row_number() over () <= $6::int8 as begins from due) d
   where begins or may_wait)
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $5, claimed_at = now(), claimed_until = (now() + ($4 * interval '1 millisecond')), relayed_at = now(), prefetched = case when $6::int8 is not null then m.ctid <> all(array(select ctid from chosen where begins)) end
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group";

-- claim of groups
with recursive room as materialized (select * from waybill.queue_room($2, $7)),
marked as materialized (
  select group_key as name, ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or coalesce(held_until > now(), false)) as closed, failing_since is not null as failing
    from waybill.queue_groups where queue = $2 and (paused_at is not null or parked_at is not null or failing_since is not null)),
closed as materialized (select coalesce(array_agg(name), '{}') as names from marked where closed),
early as materialized (
  select group_key from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is not null and queue = $2 and priority = $3 and available_at <= now()
   order by available_at limit (2 * greatest($1::int, 16))),
amount as materialized (select count(*) >= (2 * greatest($1::int, 16)) as many from early),
ahead as (
  select f.group_key, f.due and not f.group_key = any((select names from closed)::text[]) as due, case when f.group_key = any((select names from closed)::text[]) then 0 else 1 end as n from (
    select group_key, available_at <= now() as due from waybill.outbox_messages
     where relayed_at is null and cancelled_at is null and group_key is not null and queue = $2 and priority = $3 and group_key > $6
     order by group_key, available_at limit 1) f where greatest($1::int, 16) > 0 and (select many from amount)
  union all
  select f.group_key, f.due and not f.group_key = any((select names from closed)::text[]) as due, case when f.group_key = any((select names from closed)::text[]) then 0 else 1 end + w.n from ahead w cross join lateral (
    select group_key, available_at <= now() as due from waybill.outbox_messages
     where relayed_at is null and cancelled_at is null and group_key is not null and queue = $2 and priority = $3 and group_key > w.group_key
     order by group_key, available_at limit 1) f
   where w.n < greatest($1::int, 16)),
behind as (
  select f.group_key, f.due and not f.group_key = any((select names from closed)::text[]) as due, case when f.group_key = any((select names from closed)::text[]) then 0 else 1 end as n from (
    select group_key, available_at <= now() as due from waybill.outbox_messages
     where relayed_at is null and cancelled_at is null and group_key is not null and queue = $2 and priority = $3 and group_key > '' and group_key <= $6
     order by group_key, available_at limit 1) f where (greatest($1::int, 16) - (select coalesce(max(n), 0) from ahead)) > 0 and (select many from amount)
  union all
  select f.group_key, f.due and not f.group_key = any((select names from closed)::text[]) as due, case when f.group_key = any((select names from closed)::text[]) then 0 else 1 end + w.n from behind w cross join lateral (
    select group_key, available_at <= now() as due from waybill.outbox_messages
     where relayed_at is null and cancelled_at is null and group_key is not null and queue = $2 and priority = $3 and group_key > w.group_key and group_key <= $6
     order by group_key, available_at limit 1) f
   where w.n < (greatest($1::int, 16) - (select coalesce(max(n), 0) from ahead))),
sweep as (
  select group_key, due, n as place from ahead where not group_key = any((select names from closed)::text[])
  union all
  select null, 
(select true from waybill.outbox_messages
  where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is null and queue = $2 and priority = $3 and available_at <= now()
  order by group_key desc, available_at desc limit 1) is not null, (2 * greatest($1::int, 16)) where (select coalesce(max(n), 0) from ahead) < greatest($1::int, 16)
  union all
  select group_key, due, (2 * greatest($1::int, 16)) + n from behind where not group_key = any((select names from closed)::text[])
  union all
  select group_key, true, row_number() over (order by group_key) + case when group_key <= $6 then (2 * greatest($1::int, 16)) else 0 end
    from early where not (select many from amount) group by group_key),
candidate as (
  select group_key, place, true as swept from sweep where due
  union all
  select distinct group_key, null::int8, false from early
   where ((select count(*) from sweep) >= greatest($1::int, 16) and (select many from amount)) and group_key <> all(array(select group_key from sweep where group_key is not null))),
allowed as (
  select c.*, least(
      room.each - coalesce(room.taken[array_position(room.groups, c.name)], 0),
      case when exists (select from marked f where f.name = c.name and f.failing)
           then 1 - coalesce(room.taken[array_position(room.groups, c.name)], 0) end,
      case when p.next_at is null then room.burst when p.next_at > room.at then 0
           else least(room.burst, (1 + floor((extract(epoch from (room.at - p.next_at)) / extract(epoch from room.spacing))))) end) as most
    from (select *, coalesce(group_key, '') as name from candidate) c cross join room
    cross join lateral (select room.next[array_position(room.paced, c.name)] as next_at) p
   where not c.name = any((select names from closed)::text[])),
picked as materialized (
  select a.group_key, a.place, a.swept, p.ctid, p.round from allowed a
    cross join lateral (
    select ctid, row_number() over () as round from (
      select ctid from waybill.outbox_messages
       where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 and ($8::text is null or kind = any($8::text::text[])) and ($9::text is null or id = any($9::text::uuid[])) then true end and group_key = a.group_key and not exists (select from waybill.queues where name = $2 and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())) and queue = $2 and priority = $3 and available_at <= now()
       order by group_key, available_at limit (select greatest(1, ceil($1::numeric / greatest(1, count(*))))::int from allowed where most is null or most > 0) for update skip locked) p) p
   where a.group_key is not null and coalesce(a.most, 1) > 0 and p.round <= coalesce(a.most, p.round)
  union all
  select null, a.place, true, p.ctid, p.round from allowed a
    cross join lateral (
    select ctid, row_number() over () as round from (
      select ctid from waybill.outbox_messages
       where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 and ($8::text is null or kind = any($8::text::text[])) and ($9::text is null or id = any($9::text::uuid[])) then true end and group_key is null and not exists (select from waybill.queues where name = $2 and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())) and queue = $2 and priority = $3 and available_at <= now()
       order by group_key, available_at limit (select greatest(1, ceil($1::numeric / greatest(1, count(*))))::int from allowed where most is null or most > 0) for update skip locked) p) p
   where a.group_key is null and coalesce(a.most, 1) > 0 and p.round <= coalesce(a.most, p.round)),
chosen as materialized (
  select *, row_number() over (order by round, swept desc, place) as turn from picked
   order by round, swept desc, place limit least($1, (select room from room))),
next as (
  select case when count(*) filter (where swept) < $1 and ((select count(*) from sweep) >= greatest($1::int, 16) and (select many from amount)) and coalesce((select room from room) > 0, true) then (select coalesce(group_key, '') from sweep order by place desc limit 1)
              else (select coalesce(group_key, '') from chosen order by turn desc limit 1) end as group_key from chosen),
spent as (
  insert into waybill.queue_groups as g (queue, group_key, next_at)
  select $2, c.name, (greatest(coalesce(c.next_at, c.earliest), c.earliest) + (c.n * c.spacing))
    from (select coalesce(o.group_key, '') as name, count(*) as n, room.spacing, (room.at - ((room.burst - 1) * room.spacing)) as earliest,
                 room.next[array_position(room.paced, coalesce(o.group_key, ''))] as next_at
            from chosen o cross join room where room.spacing is not null group by 1, 3, 4, 5) c
  on conflict (queue, group_key) do update set next_at = excluded.next_at),
claimed as (
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $5, claimed_at = now(), claimed_until = (now() + ($4 * interval '1 millisecond')), relayed_at = now(), prefetched = case when $10::bool then false end
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group", (m.group_key = any(array(select name from marked where failing)))::text as failing)
select c.*, n.group_key as next, ((select coalesce(max(n), 0) from ahead) < greatest($1::int, 16))::text as lap from next n left join claimed c on true;

-- groups
with waiting as (
  select coalesce(group_key, '') as name, count(*)::int as n, (count(*) filter (where available_at <= now()))::int as due,
         min(available_at) as oldest
    from waybill.outbox_messages where relayed_at is null and cancelled_at is null and queue = $1 and ($2::text is null or group_key = $2) group by 1),
handed as (
  select coalesce(group_key, '') as name, count(*)::int as n
    from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null and queue = $1 and ($2::text is null or group_key = $2) group by 1),
marked as (
  select group_key as name, case when (paused_at is not null and coalesce(paused_until > now(), true)) then to_json(paused_at) #>> '{}' end as since, to_json(paused_until) #>> '{}' as until, paused_by as by,
         paused_reason as reason, to_json(parked_at) #>> '{}' as parked_at, parked_reason, to_json(failing_since) #>> '{}' as failing_since, failures,
         held_reason, case when held_until > now() then to_json(held_until) #>> '{}' end as held_until
    from waybill.queue_groups
   where queue = $1 and ($2::text is null or group_key = $2) and (paused_at is not null or parked_at is not null or failing_since is not null)
     and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or failing_since is not null)),
names as (select name from waiting union select name from handed union select name from marked)
select names.name, coalesce(w.n, 0) as waiting, coalesce(w.due, 0) as due, coalesce(h.n, 0) as "inFlight", to_json(w.oldest) #>> '{}' as oldest,
       p.since, p.until, p.by, p.reason, p.parked_at, p.parked_reason, p.failing_since, p.failures, p.held_reason, p.held_until, (count(*) over ())::int as groups, (sum(coalesce(w.n, 0)) over ())::float8 as total
  from names left join waiting w using (name) left join handed h using (name) left join marked p using (name)
 order by (p.since is null and p.parked_at is null), (coalesce(w.n, 0) + coalesce(h.n, 0)) desc, names.name limit $3;

-- pause a group
insert into waybill.queue_groups as g (queue, group_key, paused_at, paused_by, paused_reason, paused_until)
select $1, $2, now(), $3, $4, e.at from (select coalesce($5::text::timestamptz, now() + ($6::float8 * interval '1 millisecond')) as at) e
 where e.at is null or e.at > now()
on conflict (queue, group_key) do update
   set paused_at = case when (g.paused_at is not null and coalesce(g.paused_until > now(), true)) then g.paused_at else now() end, paused_by = excluded.paused_by,
       paused_reason = excluded.paused_reason, paused_until = excluded.paused_until
returning group_key;

-- resume a group
with resumed as (
  update waybill.queue_groups set paused_at = null, paused_by = null, paused_reason = null, paused_until = null,
         parked_at = null, parked_reason = null, failing_since = null, failed_at = null, failures = 0, held_at = null, held_until = null, held_reason = null
   where queue = $1 and group_key = $2 returning queue)
select pg_notify('waybill_outbox', queue) from resumed;

-- record a failure of a group
with known as (
  select g.failing_since, g.failures, g.failed_at from waybill.queue_groups g where g.queue = $1 and g.group_key = $2 for update),
fresh as (
  select coalesce((select failed_at > (now() - interval '32 days') from known), false) as goes_on,
         coalesce((select m.claimed_at > (select failed_at from known) from waybill.outbox_messages m where m.id = $3::uuid), true) as counts),
next as (
  select case when goes_on then coalesce((select failing_since from known), now()) else now() end as since,
         case when goes_on then coalesce((select failures from known), 0) else 0 end + counts::int as n,
         counts, case when counts then now() else (select failed_at from known) end as failed_at
    from fresh where counts or $8::bool or $6::float8 > 0),
failed as (
  insert into waybill.queue_groups as g (queue, group_key, failing_since, failed_at, failures, held_at, held_until, held_reason)
  select $1, $2, since, failed_at, n, now(), now() + (greatest(
  case when not counts then 0 when $5::bool then least(600000, 15000 * 2 ^ least(n - 1, 20))
       when n > 2 then least(600000, 5000 * 2 ^ least(n - 2 - 1, 20)) else 0 end
  * (0.9 + 0.2 * random()), $6::float8) * interval '1 millisecond'), $4 from next
  on conflict (queue, group_key) do update
     set failing_since = excluded.failing_since, failed_at = excluded.failed_at, failures = excluded.failures, held_at = excluded.held_at,
         held_until = greatest(g.held_until, excluded.held_until), held_reason = excluded.held_reason
  returning g.failing_since, g.failures, g.parked_at, g.held_until)
select failing_since as since, failures, extract(epoch from held_until - now())::float8 * 1000 as "heldMs",
       parked_at is null and ($8::bool or (failures >= 5 and failing_since <= now() - ($7::float8 * interval '1 millisecond'))) as "isToPark"
  from failed;

-- hold a group
insert into waybill.queue_groups as g (queue, group_key, failing_since, held_at, held_until, held_reason)
values ($1, $2, now(), now(), now() + (15000 * (0.9 + 0.2 * random()) * interval '1 millisecond'), $4)
on conflict (queue, group_key) do update
   set failing_since = coalesce(g.failing_since, excluded.failing_since), held_at = excluded.held_at, held_reason = excluded.held_reason,
       held_until = greatest(g.held_until, excluded.held_until, now() + least(600000 * interval '1 millisecond', 2 * (g.held_until - g.held_at)))
 where coalesce((select m.claimed_at > g.held_at from waybill.outbox_messages m where m.id = $3::uuid), true)
returning extract(epoch from held_until - now())::float8 * 1000 as "heldMs";

-- park a group
update waybill.queue_groups set parked_at = now(), parked_reason = $3
where queue = $1 and group_key = $2 and parked_at is null returning group_key;

-- open a group
with opened as (
  update waybill.queue_groups set failing_since = null, failed_at = null, failures = 0, held_at = null, held_until = null, held_reason = null
   where queue = $1 and group_key = $2 and failing_since is not null and parked_at is null returning queue)
select pg_notify('waybill_outbox', queue) from opened;

-- resume a group in a handler
with resumed as (
  update waybill.queue_groups set parked_at = null, parked_reason = null, failing_since = null, failed_at = null, failures = 0, held_at = null, held_until = null, held_reason = null
   where queue = $1 and group_key = $2 and (parked_at is not null or failing_since is not null) returning queue)
select pg_notify('waybill_outbox', queue) from resumed;

-- replay dead webhooks
with got as (
  select m.* from waybill.outbox_messages m where m.dead_at is not null and m.dead_at >= $4::text::timestamptz and m.dead_at < ($6::text::timestamptz + interval '1 millisecond') and m.name = $1 and m.queue = $2 and m.group_key = $3 and m.created_at >= $4::text::timestamptz and m.created_at < least($5::text::timestamptz, $6::text::timestamptz)
and not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased') and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null))) is null) and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_messages o where o.kind = m.kind and o.name = m.name and o.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and o.delivery_key is not null and o.dead_at is null and o.cancelled_at is null) is null)
   order by m.dead_at limit $7::int8 for update skip locked),
newest as (
  select id from (
    select id, row_number() over (partition by kind, name, coalesce(coalesce(m.delivery_key, m.shared_key), m.id::text) order by id desc) as place from got m) g
   where place = 1),
changed as (
  update waybill.outbox_messages m set revision = m.revision + 1, relayed_at = null, available_at = case when m.order_key is null then now() else 'infinity' end, order_due = case when m.order_key is not null then now() end, delivery_key = coalesce(m.delivery_key, m.shared_key), shared_key = null, status = 'pending', attempts = 0, dead_at = null, dead_cause = null, cancelled_at = null where m.id = any(array(select id from newest)) and m.status = any ('{dead,cancelled}') returning m.id)
select (select count(*) from changed)::text as n, (select count(*) from got)::text as found;

-- replay waiting webhooks
with got as (
  select m.id from waybill.outbox_messages m where m.relayed_at is null and m.cancelled_at is null and m.status = 'failed' and m.available_at > now() and m.name = $1 and m.queue = $2 and m.group_key = $3 and m.created_at >= $4::text::timestamptz and m.created_at < least($5::text::timestamptz, $6::text::timestamptz)
and not exists (select from waybill.outbox_attempts a where a.message_id = m.id and a.finished_at >= ($6::text::timestamptz + interval '1 millisecond')) order by m.available_at limit $7::int8 for update skip locked),
changed as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = case when m.status = 'failed' then 'failed' else 'pending' end, relayed_at = case when m.shared_key is null then null else m.relayed_at end, available_at = case when m.order_due is not null and m.available_at = 'infinity' then m.available_at else now() end, order_due = case when m.order_due is not null then now() end where m.id = any(array(select id from got)) and m.status = any ('{pending,failed}') returning m.id)
select count(*)::text as n, count(*)::text as found from changed;

-- replay delivered webhooks
select m.id::text as id, m.payload::text as payload, m.max_attempts as most, m.priority, m.tags, m.order_key as "order"
  from waybill.outbox_messages m where m.delivered_at is not null and m.delivered_at < ($6::text::timestamptz + interval '1 millisecond') and m.id > $7::uuid and m.name = $1 and m.queue = $2 and m.group_key = $3 and m.created_at >= $4::text::timestamptz and m.created_at < least($5::text::timestamptz, $6::text::timestamptz)
and not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased') and not m.payload ? 'replayOf' order by m.id limit $8::int8;

-- cancel a group
with chosen as (
  select id from waybill.outbox_messages where relayed_at is null and cancelled_at is null and queue = $1 and group_key = $2 limit $3 for update skip locked),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, ends = m.ends + 1
   where m.id = any(array(select id from chosen)) and m.status = any ('{pending,failed}')
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select count(*)::int as n from ended;

-- note limits
with busy as (
  select queue, count(*) as n from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null and queue = any($1::text[]) group by queue),
bound as (
  select q.name, least(extract(epoch from (now() - q.limited_seen_at)), 2) as seconds,
         case when coalesce(b.n, 0) >= (q.limits ->> 'concurrency')::int then 'concurrency'
              when q.ramp_from > (now() - q.ramp) then 'ramp'
              when q.limits -> 'rate' <> 'null' then 'rate'
              when q.limits -> 'groupConcurrency' <> 'null' or q.limits -> 'groupRate' <> 'null' then 'group' end as by
    from waybill.queues q left join busy b on b.queue = q.name
   where q.name = any($1::text[]) and (q.is_limited or q.ramp_from > (now() - q.ramp)) and q.limited_seen_at < (now() - interval '1 second'))
update waybill.queues q
   set limited_seen_at = now(),
       limited_seconds = case when bound.by is null then q.limited_seconds
         else jsonb_set(q.limited_seconds, array[bound.by], to_jsonb(coalesce((q.limited_seconds ->> bound.by)::numeric, 0) + bound.seconds)) end
  from bound where q.name = bound.name and q.limited_seen_at < (now() - interval '1 second');

-- limit a queue
with limited as (
  insert into waybill.queues as q (name, operator_limits, limited_by, limited_at, limited_reason)
  values ($1, coalesce($2::text::jsonb, '{}'), $3, now(), $4)
  on conflict (name) do update
     set operator_limits = case when $2::text is null then '{}' else q.operator_limits || $2::text::jsonb end,
         limited_by = excluded.limited_by, limited_at = excluded.limited_at, limited_reason = excluded.limited_reason
  returning name)
select name, pg_notify('waybill_outbox', name) from limited;

-- claim a message that a person lets through
with room as materialized (select * from waybill.queue_room($1, $4)),
named as materialized (
  select unnest(run_messages) as id from waybill.queues where name = $1 and parked_at is null and held_until > now() is not true),
chosen as materialized (
  select m.ctid, m.id, coalesce(m.group_key, '') as name, room.next[array_position(room.paced, coalesce(m.group_key, ''))] as next_at
    from waybill.outbox_messages m cross join room
   where m.id = any(array(select id from named)) and case when m.queue = $1 and m.relayed_at is null and m.cancelled_at is null and case when m.status = any ('{pending,failed}') and m.attempts < m.max_attempts and m.delivered_at is null and m.dead_at is null and m.expirations < 2 then true end and m.available_at <= now() then true end and coalesce(room.room > 0, true)
     and coalesce(coalesce(room.taken[array_position(room.groups, coalesce(m.group_key, ''))], 0) < room.each, true) and coalesce(room.next[array_position(room.paced, coalesce(m.group_key, ''))] <= room.at, true)
   order by m.priority desc, m.available_at limit 1 for update of m skip locked),
spent as (
  insert into waybill.queue_groups as g (queue, group_key, next_at)
  select $1, c.name, (greatest(c.next_at, (room.at - ((room.burst - 1) * room.spacing))) + room.spacing) from chosen c cross join room
   where room.spacing is not null
  on conflict (queue, group_key) do update set next_at = excluded.next_at),
over as materialized (
  select id from chosen
  union all
  select n.id from named n where not exists (select from waybill.outbox_messages m where m.id = n.id and m.relayed_at is null and m.cancelled_at is null)),
dropped as (
  update waybill.queues q
     set run_messages = array(select id from unnest(q.run_messages) as id where id <> all(array(select id from over)))
   where q.name = $1 and exists (select from over))
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $3, claimed_at = now(), claimed_until = (now() + ($2 * interval '1 millisecond')), relayed_at = now(), prefetched = false
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group";

-- claim a suspect
with chosen as (
  select ctid, id, queue from waybill.outbox_messages
   where expirations > 1 and case when relayed_at is null and cancelled_at is null and status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null then true end and available_at <= now() and queue = $1 and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false)))) and not exists (select from waybill.queues where name = $1 and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())) and ($4::text is null or kind = any($4::text::text[])) and ($5::text is null or id = any($5::text::uuid[]))
   order by available_at limit 1 for update skip locked)
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $3, claimed_at = now(), claimed_until = (now() + ($2 * interval '1 millisecond')), relayed_at = now(), prefetched = false
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group";

-- claim a probe
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null and queue = $1 order by priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and w.queue = place.queue and w.priority < place.priority
     order by w.priority desc limit 1) next),
ready as (select name, probed from waybill.queues q where q.name = $1 and (q.parked_at is not null and not (q.paused_at is not null and coalesce(q.paused_until > now(), true)) and (q.held_until > now()) is not true and q.probe_at <= now()
and not exists (select from waybill.outbox_messages p
                 where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now())) for update skip locked),
other as (
  select w.ctid, w.id, w.queue
    from ready join place on place.queue = ready.name
    cross join lateral (
      select * from (
        select ctid, id, queue from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 and id <> all(ready.probed) then true end and group_key is null and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))))
           and queue = place.queue and priority = place.priority and available_at <= now()
         order by group_key, available_at limit 1 for update skip locked) f union all 
      select * from (
        select ctid, id, queue from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 and id <> all(ready.probed) then true end and group_key is not null and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))))
           and queue = place.queue and priority = place.priority and available_at <= now()
         order by available_at limit 1 for update skip locked) f) w
   order by place.priority desc limit 1),
again as (select * from (
  select w.ctid, w.id, w.queue
    from ready join place on place.queue = ready.name
    cross join lateral (
      select * from (
        select ctid, id, queue from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is null and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))))
           and queue = place.queue and priority = place.priority and available_at <= now()
         order by group_key, available_at limit 1 for update skip locked) f union all 
      select * from (
        select ctid, id, queue from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is not null and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))))
           and queue = place.queue and priority = place.priority and available_at <= now()
         order by available_at limit 1 for update skip locked) f) w
   order by place.priority desc limit 1) a where not exists (select from other)),
chosen as (select ctid, id, queue from other union all select ctid, id, queue from again),
entitled as (
  update waybill.queues q set probe_message = chosen.id, probe_at = (now() + ($2 * interval '1 millisecond'))
    from chosen where q.name = chosen.queue)
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $3, claimed_at = now(), claimed_until = (now() + ($2 * interval '1 millisecond')), relayed_at = now(), prefetched = false
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group";

-- claim a suspect as the probe
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null and queue = $1 order by priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and w.queue = place.queue and w.priority < place.priority
     order by w.priority desc limit 1) next),
ready as (select name, probed from waybill.queues q where q.name = $1 and (q.parked_at is not null and not (q.paused_at is not null and coalesce(q.paused_until > now(), true)) and (q.held_until > now()) is not true and q.probe_at <= now()
and not exists (select from waybill.outbox_messages p
                 where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now())) for update skip locked),
chosen as (select s.* from ready cross join lateral (
  select ctid, id, queue from waybill.outbox_messages
   where expirations > 1 and case when relayed_at is null and cancelled_at is null and status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null then true end and available_at <= now() and queue = ready.name and (group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = waybill.outbox_messages.queue and g.group_key = waybill.outbox_messages.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))))
   order by available_at limit 1 for update skip locked) s),
entitled as (
  update waybill.queues q set probe_message = chosen.id, probe_at = (now() + ($2 * interval '1 millisecond'))
    from chosen where q.name = chosen.queue)
update waybill.outbox_messages m set revision = m.revision + 1, status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $3, claimed_at = now(), claimed_until = (now() + ($2 * interval '1 millisecond')), relayed_at = now(), prefetched = false
 where m.ctid = any(array(select ctid from chosen))
returning m.id::text as id, m.kind::text as kind, m.name::text as name, m.payload::text::text as payload, m.attempts::text as attempts, m.max_attempts::text as most, m.claim_token::text as token, m.delivery_key::text as key, m.request_id::text as request, m.traceparent::text as traceparent, date_part('epoch', m.created_at)::text as created, m.prefetched::text as prefetched, case when m.available_at <> m.created_at then date_part('epoch', m.available_at) end::text as due, date_part('epoch', (now() - greatest(m.created_at, m.available_at)))::text as lag, m.order_key::text as "order", array_to_json(m.tags)::text::text as tags, m.priority::text as priority, m.group_key::text as "group";

-- due
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (place.queue, place.priority)
     order by w.queue desc, w.priority desc limit 1) next),
ready as materialized (
  select queue, priority, part.grouped
    from place cross join lateral (
      select false as grouped where 
(select true from waybill.outbox_messages
  where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is null and queue = place.queue and priority = place.priority and available_at <= now()
  order by group_key desc, available_at desc limit 1) is not null union all select true where 
(select true from waybill.outbox_messages
  where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is not null and queue = place.queue and priority = place.priority and available_at <= now()
  order by available_at desc limit 1) is not null) part
   where $1::text is null or queue = any($1::text::text[])),
apart as materialized (
  select distinct m.queue from waybill.outbox_messages m
   where m.expirations > 1 and case when m.relayed_at is null and m.cancelled_at is null and m.status = any ('{pending,failed}') and m.attempts < m.max_attempts and m.delivered_at is null and m.dead_at is null then true end and m.available_at <= now() and (m.group_key is null or not exists (select from waybill.queue_groups g
   where g.queue = m.queue and g.group_key = m.group_key and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false)))) and ($1::text is null or m.queue = any($1::text::text[])))
select queue, priority::text as priority, grouped::text as grouped, 'f' as suspects, 'f' as probe from ready where queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())))
union all
select queue, '0', 'f', 't', 'f' from apart where queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())))
union all
select q.name, '0', 'f', case when q.name = any(array(select queue from ready)) then 'f' else 't' end, 't'
  from waybill.queues q
 where (q.name = any(array(select queue from ready)) or q.name = any(array(select queue from apart))) and (q.parked_at is not null and not (q.paused_at is not null and coalesce(q.paused_until > now(), true)) and (q.held_until > now()) is not true and q.probe_at <= now()
and not exists (select from waybill.outbox_messages p
                 where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now()))
union all
select name, '0', 'f', 'f', 'named' from waybill.queues
 where ($1::text is null or name = any($1::text::text[])) and run_messages <> '{}' and parked_at is null and held_until > now() is not true
union all
select name, limits::text, null, null, null from waybill.queues
 where ($1::text is null or name = any($1::text::text[])) and (is_limited or greatest(ramp_from, held_until, paused_until) > (now() - ramp));

-- count what is due
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (place.queue, place.priority)
     order by w.queue desc, w.priority desc limit 1) next)
select place.queue, place.priority, n."isGrouped", n.due
  from place cross join lateral (
select false as "isGrouped", count(*)::int as due from (
  select from waybill.outbox_messages
   where queue = place.queue and priority = place.priority and group_key is null and available_at <= now() and relayed_at is null and cancelled_at is null
   order by group_key desc, available_at desc limit $1) w union all 
select true as "isGrouped", count(*)::int as due from (
  select from waybill.outbox_messages
   where queue = place.queue and priority = place.priority and group_key is not null and available_at <= now() and relayed_at is null and cancelled_at is null
   order by available_at desc limit $1) w) n
 where place.queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) and n.due > 0;

-- lock queues
with made as (
  insert into waybill.queues (name) select unnest($1::text[]) on conflict (name) do nothing returning name)
select name from made
union all
select name from (
  select name from waybill.queues where name = any($1::text[]) order by name for update skip locked) there;

-- settle
with g as (
  select * from unnest($1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::float8[], $6::text::bool[],
                       $7::text::text[], $8::text::text[])
    as g(id, token, ended, error, delay_ms, ambiguous, stack, cause)),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = case when g.ended = 'delivered' then 'delivered' when (g.ended = 'failed' and m.attempts >= m.max_attempts) then 'dead' when g.ended = 'dead' then 'dead' when g.ended = 'released' then case when m.attempts <= 1 then 'pending' else 'failed' end else 'failed' end, delivered_at = case when g.ended = 'delivered' then now() when (g.ended = 'failed' and m.attempts >= m.max_attempts) then m.delivered_at when g.ended = 'dead' then m.delivered_at when g.ended = 'released' then m.delivered_at else m.delivered_at end, order_due = case when g.ended = 'delivered' then null when (g.ended = 'failed' and m.attempts >= m.max_attempts) then case when m.order_skips then null else m.order_due end when g.ended = 'dead' then case when m.order_skips then null else m.order_due end when g.ended = 'released' then m.order_due else m.order_due end, last_error = case when g.ended = 'delivered' then null when (g.ended = 'failed' and m.attempts >= m.max_attempts) then coalesce(g.error, m.last_error) when g.ended = 'dead' then coalesce(g.error, m.last_error) when g.ended = 'released' then coalesce(g.error, m.last_error) else coalesce(g.error, m.last_error) end, dead_at = case when g.ended = 'delivered' then m.dead_at when (g.ended = 'failed' and m.attempts >= m.max_attempts) then now() when g.ended = 'dead' then now() when g.ended = 'released' then m.dead_at else m.dead_at end, dead_cause = case when g.ended = 'delivered' then m.dead_cause when (g.ended = 'failed' and m.attempts >= m.max_attempts) then 'exhausted' when g.ended = 'dead' then g.cause when g.ended = 'released' then m.dead_cause else m.dead_cause end, relayed_at = case when g.ended = 'delivered' then m.relayed_at when (g.ended = 'failed' and m.attempts >= m.max_attempts) then m.relayed_at when g.ended = 'dead' then m.relayed_at when g.ended = 'released' then null else null end, available_at = case when g.ended = 'delivered' then m.available_at when (g.ended = 'failed' and m.attempts >= m.max_attempts) then m.available_at when g.ended = 'dead' then m.available_at when g.ended = 'released' then (now() + (g.delay_ms * interval '1 millisecond')) else (now() + (g.delay_ms * interval '1 millisecond')) end, attempts = case when g.ended = 'delivered' then m.attempts when (g.ended = 'failed' and m.attempts >= m.max_attempts) then m.attempts when g.ended = 'dead' then m.attempts when g.ended = 'released' then m.attempts - 1 else m.attempts end, ends = m.ends + 1
   from g where m.id = any(array(select id from g)) and m.id = g.id and m.claim_token = g.token and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, m.status, date_part('epoch', clock_timestamp() - m.created_at) as seconds, g.ended, g.error, g.stack, g.ambiguous),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, case when status = 'dead' then 'dead' when ended = 'failed' then 'retried' else ended end, count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
tried as (
  insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error, stack)
  select o.id, o.attempts, o.claimed_at, o.claimed_by,
         case when s.ambiguous and s.status <> 'dead' then 'ambiguous' when s.ended = 'released' then 'released'
              when s.status = 'dead' then 'dead' else 'retried' end, s.error, s.stack
    from ended s join waybill.outbox_messages o on o.id = s.id
   where s.ended <> 'delivered' and (s.ended <> 'released' or s.error is not null))
select id::text as id, status, seconds::text as seconds from ended;

-- settle one that is delivered
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = 'delivered', delivered_at = now(), order_due = null, last_error = null, ends = m.ends + 1
   where m.id = $1::uuid and m.claim_token = $2::uuid and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, date_part('epoch', clock_timestamp() - m.created_at) as seconds),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id, seconds::text as seconds from ended;

-- settle what is delivered
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = 'delivered', delivered_at = now(), order_due = null, last_error = null, ends = m.ends + 1
   where m.id = any($1::uuid[]) and m.claim_token = $2::uuid and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, date_part('epoch', clock_timestamp() - m.created_at) as seconds),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id, seconds::text as seconds from ended;

-- settle what is delivered, of several claims
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = 'delivered', delivered_at = now(), order_due = null, last_error = null, ends = m.ends + 1
   where m.id = any($1::uuid[]) and m.claim_token = ($2::uuid[])[array_position($1::uuid[], m.id)] and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, date_part('epoch', clock_timestamp() - m.created_at) as seconds),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id, seconds::text as seconds from ended;

-- settle what is delivered, with messages and notes
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = 'delivered', delivered_at = now(), order_due = null, last_error = null, ends = m.ends + 1
   where m.id = any($1::uuid[]) and m.claim_token = $2::uuid and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, date_part('epoch', clock_timestamp() - m.created_at) as seconds),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
added as (insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, revision)
  select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
         n.delivery_key, n.parent_id, n.request_id, n.traceparent, 0 from unnest($3::text::uuid[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::jsonb[], $8::text::int[], $9::text::int[], $10::text::timestamptz[], $11::text::text[], $12::text::uuid[], $13::text::text[], $14::text::text[]) as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent) join ended s on s.id = n.parent_id),
noted as (
  insert into waybill.outbox_notes (message_id, type, recipient, detail, reference)
  select r.message_id, r.type, r.recipient, r.detail, r.reference
    from jsonb_to_recordset($15::text::jsonb) as r(message_id pg_catalog.uuid, type pg_catalog.text, recipient pg_catalog.text,
  detail pg_catalog.text, reference pg_catalog.text) join ended s on s.id = r.message_id)
select id::text as id, seconds::text as seconds from ended;

-- settle what is delivered, with messages that have a group, an order key or tags
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, status = 'delivered', delivered_at = now(), order_due = null, last_error = null, ends = m.ends + 1
   where m.id = any($1::uuid[]) and m.claim_token = $2::uuid and m.status = any ('{sending}')
  returning m.id, m.kind, m.queue, m.ends, date_part('epoch', clock_timestamp() - m.created_at) as seconds),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'delivered', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
added as (insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, group_key, order_key, order_skips, tags, revision)
  select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
         n.delivery_key, n.parent_id, n.request_id, n.traceparent, n.group_key, n.order_key, n.order_skips, n.tags::text[], 0 from unnest($3::text::uuid[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::jsonb[], $8::text::int[], $9::text::int[], $10::text::timestamptz[], $11::text::text[], $12::text::uuid[], $13::text::text[], $14::text::text[], $15::text::text[], $16::text::text[], $17::text::boolean[], $18::text::text[]) as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, group_key, order_key, order_skips, tags) join ended s on s.id = n.parent_id order by n.id)
select id::text as id, seconds::text as seconds from ended;

-- store in the inbox
insert into waybill.inbox_emails (message_id, sender, recipients, subject, html, text, source)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (message_id) do nothing;

-- emails of the inbox
select message_id as id, sender as "from", recipients, subject, to_json(stored_at) #>> '{}' as "storedAt", octet_length(source) as bytes, number::text as cursor from waybill.inbox_emails
where number < coalesce($1::bigint, 9223372036854775807)
  and ($2::text is null or position(lower($2) in lower(subject)) > 0
       or position(lower($2) in lower(array_to_string(recipients, ' '))) > 0)
order by number desc limit $3;

-- email of the inbox
select message_id as id, sender as "from", recipients, subject, to_json(stored_at) #>> '{}' as "storedAt", octet_length(source) as bytes, html, text, substring(source for position('\x0d0a0d0a'::bytea in source) - 1) as head,
 coalesce((select jsonb_agg(jsonb_build_object('index', a.position - 1, 'filename', a.value -> 'filename',
                                               'contentType', a.value -> 'contentType', 'cid', a.value -> 'cid', 'bytes', case when a.value ->> 'encoding' = 'base64'
                                                 then octet_length(translate(a.value ->> 'content', E'\r\n=', '')) * 3 / 4
                                                 else octet_length(a.value ->> 'content') end) order by a.position)
             from jsonb_array_elements(m.payload -> 'attachments') with ordinality a (value, position)), '[]') as attachments
 from waybill.inbox_emails join waybill.outbox_messages m on m.id = message_id
where message_id = $1;

-- source in the inbox
select source from waybill.inbox_emails where message_id = $1;

-- attachments in the inbox
select m.payload -> 'attachments' as attachments, html
 from waybill.inbox_emails join waybill.outbox_messages m on m.id = message_id
where message_id = $1;

-- empty the inbox
with gone as (delete from waybill.inbox_emails returning 1)
select count(*)::int as deleted from gone;

-- tell dead letters
with fresh as (insert into waybill.notices_told (key)
  select 'dead:' || id || ':' || extract(epoch from dead_at) from waybill.outbox_messages m
   where dead_at is not null and dead_at > now() - interval '1 hour' and name <> $1 and coalesce(dead_cause, '') <> 'recipient'
     and not exists (select from waybill.notices_told where key = 'dead:' || m.id || ':' || extract(epoch from m.dead_at))
   order by dead_at limit $2 on conflict do nothing returning key)
select kind, name, queue, count(*)::int as count, max(left(last_error, 10000)) as "lastError", (array_agg(id::text order by id))[1:5] as ids
  from waybill.outbox_messages where id = any(array(select split_part(key, ':', 2)::uuid from fresh))
 group by kind, name, queue order by count desc limit 50;

-- tell parked queues
with fresh as (insert into waybill.notices_told (key)
  select 'parked:' || name || ':' || extract(epoch from parked_at) from waybill.queues
   where parked_at is not null order by name on conflict do nothing returning key)
select name as queue, to_json(parked_at) #>> '{}' as since, left(parked_reason, 10000) as reason from waybill.queues
 where parked_at is not null and 'parked:' || name || ':' || extract(epoch from parked_at) in (select key from fresh)
 order by name;

-- tell skipped ticks
with fresh as (insert into waybill.notices_told (key)
  select 'skipped:' || id from (
    select id, status, reason, skipped_ticks, dispatched_at from waybill.cron_runs order by id desc limit $1) r
   where dispatched_at > now() - interval '1 hour' and reason is distinct from 'disabled' and (status = 'skipped' or skipped_ticks > 0) on conflict do nothing returning key)
select name as job, sum(skipped_ticks + case when status = 'skipped' then 1 else 0 end)::int as count, max(reason) as reason
  from waybill.cron_runs where id = any(array(select substr(key, 9)::uuid from fresh))
 group by name order by count desc limit 50;

-- forget what was told
delete from waybill.notices_told where told_at < now() - interval '1 day'
and key not in (
  select 'parked:' || name || ':' || extract(epoch from parked_at) from waybill.queues where parked_at is not null
  union all
  select 'provider:' || name || ':' || extract(epoch from parked_at) from waybill.email_providers where parked_at is not null);

-- suppressed
select s.address, s.reason from waybill.email_suppressions s where s.address = any($1::text[])
union all
select a.address, s.reason from unnest($1::text[]) as a(address)
  join waybill.email_suppressions s on s.address = waybill.erased_address(a.address)
 where exists (select from waybill.email_suppressions e where e.erased_at is not null);

-- suppress
insert into waybill.email_suppressions (address, reason)
select $1::text, $2::text where not exists (select from waybill.email_suppressions where address = waybill.erased_address($1::text))
on conflict (address) do nothing returning address;

-- unsuppress
delete from waybill.email_suppressions where address in ($1, waybill.erased_address($1)) returning address;

-- suppressions
select address, left(reason, 10000) as reason, to_json(since) #>> '{}' as since from waybill.email_suppressions
where ($1::text is null or address > $1) and ($2::text is null or position($2 in address) > 0)
order by address limit $3;

-- batch: find plans
select message_id as "messageId", batch, planned_at > now() - interval '23 hours' as young, answer, batch is not null and provider <> $2 as "isForeign"
from waybill.email_batches where message_id = any($1::uuid[]);

-- batch: write plans
insert into waybill.email_batches as p (message_id, provider, batch, position, size, recipients)
select message_id, $2, batch, position, size, recipients
  from jsonb_to_recordset($1::jsonb) as r(message_id uuid, batch uuid, position int, size int, recipients text[])
 order by message_id
on conflict (message_id) do update
   set provider = excluded.provider, batch = excluded.batch, position = excluded.position, size = excluded.size,
       recipients = excluded.recipients, asked_again = false, planned_at = now()
 where p.batch is null
returning message_id;

-- handover: begin
with was as (
  select a.id, a.provider, case
           when h.message_id is not null then h.provider
           when a.attempt > 1 and exists (
  select from waybill.outbox_attempts t
   where t.message_id = a.id and t.outcome in ('ambiguous', 'expired', 'ended')
     and t.started_at < coalesce((select min(listed_at) + interval '1 hour' from waybill.email_providers), 'infinity'))
           then coalesce(b.provider, ($4::text[])[1]) end as holder
    from unnest($1::uuid[], $2::text[], $3::int[]) as a(id, provider, attempt)
    left join waybill.email_handovers h on h.message_id = a.id
    left join waybill.email_batches b on b.message_id = a.id and b.batch is not null),
begun as (
  insert into waybill.email_handovers as h (message_id, provider)
  select id, provider from was where coalesce(holder = provider or holder <> all($4::text[]), true) order by id
  on conflict (message_id) do update set provider = excluded.provider, begun_at = excluded.begun_at, waits_since = null
   where coalesce(h.provider = excluded.provider or h.provider <> all($4::text[]), true)
  returning message_id, begun_at)
select was.id, was.holder, begun.begun_at::text as "begunAt" from was left join begun on begun.message_id = was.id;

-- handover: free
update waybill.email_handovers h set provider = null
 where message_id = $1::uuid and provider = $2 and begun_at = $3::text::timestamptz
   and not exists (select from waybill.email_batches b where b.message_id = h.message_id and b.batch <> b.message_id)
returning message_id;

-- handover: wait
insert into waybill.email_handovers as h (message_id, provider, waits_since) values ($1::uuid, $2, now())
on conflict (message_id) do update set waits_since = coalesce(h.waits_since, excluded.waits_since) where h.provider = excluded.provider;

-- handover: unsure
insert into waybill.email_handovers as h (message_id, provider)
select id, provider from unnest($1::uuid[], $2::text[]) as a(id, provider) order by id
on conflict (message_id) do update set provider = excluded.provider, begun_at = excluded.begun_at, waits_since = null;

-- free of a provider
insert into waybill.email_handovers as h (message_id, provider)
select m.id, null from waybill.outbox_messages m
 where m.id = $1 and m.kind = 'email' and exists (select from waybill.email_providers p where p.parked_at is not null)
on conflict (message_id) do update set provider = null, waits_since = null
 where h.waits_since is not null
    or exists (select from waybill.email_providers p where p.name = h.provider and p.parked_at is not null);

-- look at providers
with due as (
  update waybill.email_providers p set probe_at = now() + $3 * interval '1 millisecond'
   where p.name = any($1::text[]) and p.parked_at is not null and (p.probe_at <= now() or $2)
  returning p.name)
select l.name, p.parked_at is not null as "isParked", l.name = any(array(select name from due)) as "isProbe", coalesce(p.failures, 0) as failures,
       p.parked_reason as reason, coalesce(1000 * extract(epoch from now() - p.parked_at), 0)::float8 as "parkedMs"
  from unnest($1::text[]) with ordinality as l(name, place) left join waybill.email_providers p on p.name = l.name
 order by l.place;

-- count a failure of a provider
insert into waybill.email_providers as p (name, failures) values ($1, 1)
on conflict (name) do update set failures = p.failures + 1 where p.parked_at is null and coalesce(p.reopened_at <= $2::text::timestamptz, true)
returning failures;

-- park a provider
insert into waybill.email_providers as p (name, parked_at, parked_by, parked_reason, probe_at, probe_ms)
select $1, now(), $4, $3, now() + greatest($6::float8, 5000) * interval '1 millisecond', 5000
 where $5::text[] is null or exists (
   select from unnest($5::text[]) as o(name)
    where not exists (select from waybill.email_providers e where e.name = o.name and e.parked_at is not null))
on conflict (name) do update
   set parked_at = excluded.parked_at, parked_by = excluded.parked_by, parked_reason = excluded.parked_reason, failures = 0, probes = 0,
       probe_ms = greatest($6::float8, case when p.reopened_at > now() - interval '2 minutes' then least(60000, greatest(5000, 2 * coalesce(p.probe_ms, 2500))) else 5000 end), probe_at = now() + greatest($6::float8, case when p.reopened_at > now() - interval '2 minutes' then least(60000, greatest(5000, 2 * coalesce(p.probe_ms, 2500))) else 5000 end) * interval '1 millisecond'
 where p.parked_at is null and coalesce(p.reopened_at <= $2::text::timestamptz, true)
returning name;

-- provider: probe failed
update waybill.email_providers p
   set probes = probes + 1, probe_ms = least(60000, greatest(5000, 2 * coalesce(p.probe_ms, 2500))), probe_at = now() + least(60000, greatest(5000, 2 * coalesce(p.probe_ms, 2500))) * interval '1 millisecond', parked_reason = $2
 where name = $1 and parked_at is not null
returning probe_ms as "nextMs";

-- reopen a provider
update waybill.email_providers
  set parked_at = null, parked_by = null, parked_reason = null, reopened_at = clock_timestamp(), failures = 0
where name = $1 and parked_at is not null returning name;

-- provider answered
update waybill.email_providers set failures = 0 where name = $1 and failures > 0 and parked_at is null;

-- register providers
with gone as (delete from waybill.email_providers where name <> all($1::text[]))
insert into waybill.email_providers as p (name, position, listed_at)
select name, place, now() from unnest($1::text[]) with ordinality as l(name, place)
on conflict (name) do update set position = excluded.position, listed_at = coalesce(p.listed_at, excluded.listed_at)
 where p.position is distinct from excluded.position;

-- list providers
select
(select coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'reason', p.parked_reason, 'since', to_json(p.parked_at) #>> '{}', 'by', p.parked_by,
          'nextAt', case when p.parked_at is not null then to_json(p.probe_at) #>> '{}' end, 'failed', p.probes,
          'waiting', 
(select count(*)::int from waybill.email_handovers h join waybill.outbox_messages m on m.id = h.message_id
  where h.provider = p.name and h.waits_since is not null and m.status in ('pending', 'failed'))) order by p.position, p.name), '[]') from waybill.email_providers p) as providers;

-- tell parked providers
with fresh as (insert into waybill.notices_told (key)
  select 'provider:' || name || ':' || extract(epoch from parked_at) from waybill.email_providers
   where parked_at is not null order by name on conflict do nothing returning key)
select name as provider, to_json(parked_at) #>> '{}' as since, left(parked_reason, 10000) as reason from waybill.email_providers
 where parked_at is not null and 'provider:' || name || ':' || extract(epoch from parked_at) in (select key from fresh)
 order by name;

-- batch: plan again
with marked as (
  update waybill.email_batches set asked_again = true where batch = $1 and position = 0 returning batch)
select m.id, m.payload, m.created_at as "createdAt", p.recipients, p.size
  from marked join waybill.email_batches p on p.batch = marked.batch join waybill.outbox_messages m on m.id = p.message_id
 order by p.position;

-- batch: free
with first as (
  update waybill.email_batches set batch = null
   where batch = $1 and position = 0 and ($2::boolean or not asked_again) returning message_id)
update waybill.email_batches p set batch = null from first where p.batch = $1 and p.position > 0;

-- batch: keep answers
update waybill.email_batches p set answer = r.answer
 from jsonb_to_recordset($2::jsonb) as r(message_id uuid, answer jsonb)
where p.message_id = r.message_id and p.batch = $1 and p.answer is null;

-- note a report
insert into waybill.outbox_notes (message_id, type, recipient, detail, reference, source)
select id, $3, case when exists (select from waybill.outbox_messages m where m.id = found.id and m.payload ?| '{$sealed,dropped,erased}') then null else $4 end,
       $5, $1, $6 from (
  select id, 1 as rank from waybill.outbox_messages where id = $2::uuid
  union all (select message_id, 2 from waybill.outbox_notes where reference = $1 order by id limit 1)
) found order by rank limit 1
on conflict (source) where source is not null do nothing
returning message_id as id;

-- whether a report is noted
select from waybill.outbox_notes where source = $1;

-- extend
with held as (
  select m.id from unnest($1::text::uuid[], $2::text::uuid[]) as g(id, token)
    join waybill.outbox_messages m on m.id = g.id and m.claim_token = g.token
   where m.id = any($1::text::uuid[]) for update of m skip locked)
update waybill.outbox_messages m set revision = m.revision + 1, claimed_until = (now() + ($3 * interval '1 millisecond')), prefetched = case when m.prefetched then false else m.prefetched end
  from held where m.id = held.id
returning m.id::text as id;

-- check
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (place.queue, place.priority)
     order by w.queue desc, w.priority desc limit 1) next)
select exists (select from place where place.queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) and (
(select true from waybill.outbox_messages
  where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is null and queue = place.queue and priority = place.priority and available_at <= now()
  order by group_key desc, available_at desc limit 1) is not null or 
(select true from waybill.outbox_messages
  where relayed_at is null and cancelled_at is null and case when status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null and expirations < 2 then true end and group_key is not null and queue = place.queue and priority = place.priority and available_at <= now()
  order by available_at desc limit 1) is not null)) as due,
coalesce(
  (select true from waybill.outbox_messages
    where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null and (status = any ('{sending}') and (claimed_until < now() or claimed_until is null or claimed_until = 'infinity') or not status = any ('{sending}') and (shared_key is null or not exists (
      select from waybill.outbox_keys k where k.pruned_at = 'infinity' and k.message_id = id))) order by relayed_at limit 1),
  (select true from waybill.outbox_messages
    where expirations > 1 and case when relayed_at is null and cancelled_at is null and not (status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null) then true end order by queue, available_at limit 1),
  (select true from waybill.outbox_keys where pruned_at = 'infinity' limit 1), false) or exists (select from waybill.outbox_order_changes where is_late) as lapsed, exists (select from waybill.bulk_acts where state = 'running') as bulk;

-- expire leases
with lapsed as (
  select id, attempts, max_attempts, expirations, claimed_at, claimed_by, prefetched from waybill.outbox_messages
   where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null and status = any ('{sending}') and (claimed_until < now() or claimed_until is null or claimed_until = 'infinity')
   limit $1 for update skip locked),
weighed as (
  select l.*, case when l.prefetched then not exists (select from waybill.outbox_begun b
          where b.worker = l.claimed_by and ('x' || right(l.id::text, 8))::bit(32)::int = any(b.ids)) else false end as unbegun from lapsed l),
unsure as (
  select claimed_by from weighed where attempts >= max_attempts and not unbegun and prefetched is not null and expirations = 0),
marked as (
  select id from waybill.outbox_begun b, unnest(b.ids) as id where b.worker = any(array(select claimed_by from unsure))),
company as (
  select o.claimed_by as worker from waybill.outbox_messages o
   where exists (select from unsure) and o.relayed_at is not null and o.delivered_at is null and o.dead_at is null and o.cancelled_at is null and o.claimed_by = any(array(select claimed_by from unsure))
     and case when o.prefetched then ('x' || right(o.id::text, 8))::bit(32)::int = any(array(select id from marked)) else true end
   group by o.claimed_by having count(*) > 1
  union all
  select a.worker from waybill.outbox_attempts a
   where exists (select from unsure) and a.worker = any(array(select claimed_by from unsure))
     and a.outcome = 'expired' and a.finished_at > (now() - interval '5 minutes')),
judged as (
  select w.*, case when w.attempts < w.max_attempts or w.unbegun then false
              when w.prefetched is null or w.expirations > 0 then true
              else not coalesce(w.claimed_by = any(array(select worker from company)), false) end as last
    from weighed w),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, dead_at = case when j.last then now() else m.dead_at end, order_due = case when j.last then case when m.order_skips then null else m.order_due end else m.order_due end, status = case when j.last then 'dead' else 'failed' end, dead_cause = case when j.last then 'expired' else m.dead_cause end, relayed_at = case when j.last then m.relayed_at else null end, available_at = case when j.last then m.available_at else now() end, attempts = case when j.last then m.attempts else case when j.unbegun then m.attempts - 1 else least(m.attempts, m.max_attempts - 1) end end, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, expirations = greatest((m.expirations + 1), case when (m.attempts + case when j.unbegun then 0 else 1 end) >= m.max_attempts then 2 end), last_error = 'the lease ran out' || case when j.unbegun then ' before the delivery began' else '' end
      || ': the worker ' || coalesce(j.claimed_by, 'that the row does not name') || ' died or stood still', ends = m.ends + 1
   from judged j where m.id = j.id
  returning m.id, m.kind, m.queue, m.ends, m.name, m.status, m.attempts, m.max_attempts, m.delivery_key, m.request_id, m.traceparent, m.last_error, m.dead_cause),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'expired', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
tried as (
  insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
  select e.id, j.attempts, coalesce(j.claimed_at, now()), coalesce(j.claimed_by, ''), case when j.unbegun then 'released' else 'expired' end, e.last_error
    from ended e join judged j on j.id = e.id)
select id::text as id, kind, name, queue, status, attempts::text as attempts, max_attempts::text as most, delivery_key as key,
  request_id as request, traceparent, last_error as error, dead_cause as cause from ended;

-- kill exhausted
with spent as (
  select id from waybill.outbox_messages
   where id = any($1::uuid[]) and relayed_at is null and cancelled_at is null and status = any ('{pending,failed}') and attempts >= max_attempts for update skip locked),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, dead_at = now(), order_due = case when m.order_skips then null else m.order_due end, status = 'dead', dead_cause = 'exhausted', relayed_at = coalesce(m.relayed_at, now()), last_error = 'attempts_exhausted: the row waited with no attempt left', ends = m.ends + 1
   where m.id = any(array(select id from spent))
  returning m.id, m.kind, m.queue, m.ends, m.name, m.status, m.attempts, m.max_attempts, m.delivery_key, m.request_id, m.traceparent, m.last_error, m.dead_cause),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'exhausted', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id, kind, name, queue, status, attempts::text as attempts, max_attempts::text as most, delivery_key as key,
  request_id as request, traceparent, last_error as error, dead_cause as cause from ended;

-- find odd
select id, status from (
select * from (
  select * from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and group_key is null and queue = $1 and priority = $2 and available_at <= now()
   order by group_key, available_at limit 100) h union all 
select * from (
  select * from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and group_key is not null and queue = $1 and priority = $2 and available_at <= now()
   order by available_at limit 100) h) w
 where not (status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null) and (select true from waybill.outbox_messages f
                      where f.relayed_at is not null and f.delivered_at is null and f.dead_at is null and f.cancelled_at is null and f.queue = $1 order by f.relayed_at desc limit 1) is null;

-- find stuck
(select id, status from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null and not status = any ('{sending}') and (shared_key is null or not exists (
      select from waybill.outbox_keys k where k.pruned_at = 'infinity' and k.message_id = id)) limit $1)
union all
(select id, status from waybill.outbox_messages where expirations > 1 and case when relayed_at is null and cancelled_at is null and not (status = any ('{pending,failed}') and attempts < max_attempts and delivered_at is null and dead_at is null) then true end order by queue, available_at limit $1);

-- end unfit
with unfit as (
  select m.id from waybill.outbox_messages m
   where m.id = any($1::uuid[]) and delivered_at is null and dead_at is null and cancelled_at is null
     and not (m.status = any ('{sending}') and claimed_until between now() and now() + interval '1 day') and waybill.outbox_flaw(m) is not null for update skip locked),
ended as (
  update waybill.outbox_messages m set revision = case when m.revision between 0 and 1000000000 then m.revision + 1 else 0 end, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, dead_at = now(), order_due = case when m.order_skips or m.order_due is null then null else case when isfinite(m.order_due) then m.order_due else now() end end, status = 'dead', dead_cause = 'permanent', delivered_at = null, cancelled_at = null, relayed_at = case when isfinite(m.relayed_at) then m.relayed_at else now() end, available_at = case when isfinite(m.available_at) then m.available_at else now() end, created_at = case when isfinite(m.created_at) then m.created_at else now() end, max_attempts = least(greatest(m.max_attempts, 1), 1000), attempts = least(greatest(m.attempts, 0), greatest(m.max_attempts, 1), 1000), expirations = least(greatest(m.expirations, 0), 1000000), last_error = waybill.outbox_flaw(m), ends = m.ends + 1
   where m.id = any(array(select id from unfit))
  returning m.id, m.kind, m.queue, m.ends, m.name, m.attempts, m.max_attempts, m.delivery_key, m.request_id, m.traceparent, m.last_error),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'discarded', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id, kind, name, queue, 'dead' as status, attempts, max_attempts as "maxAttempts", delivery_key as "deliveryKey",
  request_id as "requestId", traceparent, last_error as error from ended;

-- restamp
update waybill.outbox_messages m set revision = m.revision + 1, relayed_at = case when m.status = any ('{sending}') then now() end
 where m.id in (select o.id from waybill.outbox_messages o
                 where o.id = any($1::uuid[]) and (o.relayed_at is not null and o.delivered_at is null and o.dead_at is null and o.cancelled_at is null and o.status = any ('{pending,failed}') or o.relayed_at is null and o.cancelled_at is null and o.status = any ('{sending}'))
                   for update skip locked)
returning m.id;

-- prune delivered
with young as materialized (
  select (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid as id),
stretch as materialized (
  select id from waybill.outbox_messages where id > $4 and id < (select id from young) order by id offset $3 - 1 limit 1),
gone as (
  delete from waybill.outbox_messages where id in (
    select id from waybill.outbox_messages
     where id > $4 and id <= coalesce((select id from stretch), (select id from young))
       and delivered_at < (now() - ($1 * interval '1 millisecond'))
     order by id limit $2 for update skip locked)
  returning id, kind, name, delivery_key, status)
, keys as (
  insert into waybill.outbox_keys as k (kind, name, delivery_key, message_id)
  select kind, name, delivery_key, id from gone where delivery_key is not null and status = 'delivered'
  on conflict (kind, name, delivery_key) do update set message_id = excluded.message_id, pruned_at = excluded.pruned_at
    where k.pruned_at < 'infinity'),
audited as (
  insert into waybill.outbox_audit (kind, outcome, n)
  select kind, 'pruned ' || status, count(*) from gone group by kind, status)
select count(*)::int as n, max(id::text) as last, (select id::text from stretch) as till from gone;

-- prune cancelled
with gone as (
  delete from waybill.outbox_messages where id in (
    select id from waybill.outbox_messages
     where cancelled_at is not null and cancelled_at < (now() - ($1 * interval '1 millisecond'))
       and order_due is null
     order by cancelled_at limit $2 for update skip locked)
  returning id, kind, name, delivery_key, status)
, keys as (
  insert into waybill.outbox_keys as k (kind, name, delivery_key, message_id)
  select kind, name, delivery_key, id from gone where delivery_key is not null and status = 'delivered'
  on conflict (kind, name, delivery_key) do update set message_id = excluded.message_id, pruned_at = excluded.pruned_at
    where k.pruned_at < 'infinity'),
audited as (
  insert into waybill.outbox_audit (kind, outcome, n)
  select kind, 'pruned ' || status, count(*) from gone group by kind, status)
select status, count(*)::int as n from gone group by status;

-- prune dead
with gone as (
  delete from waybill.outbox_messages where id in (
    select id from waybill.outbox_messages
     where dead_at is not null and dead_at < (now() - ($1 * interval '1 millisecond'))
       and order_due is null
     order by dead_at limit $2 for update skip locked)
  returning id, kind, name, delivery_key, status)
, keys as (
  insert into waybill.outbox_keys as k (kind, name, delivery_key, message_id)
  select kind, name, delivery_key, id from gone where delivery_key is not null and status = 'delivered'
  on conflict (kind, name, delivery_key) do update set message_id = excluded.message_id, pruned_at = excluded.pruned_at
    where k.pruned_at < 'infinity'),
audited as (
  insert into waybill.outbox_audit (kind, outcome, n)
  select kind, 'pruned ' || status, count(*) from gone group by kind, status)
select status, count(*)::int as n from gone group by status;

-- waiting names
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (place.queue, place.priority)
     order by w.queue desc, w.priority desc limit 1) next),
seen as (
  (select w.kind, w.name from place cross join lateral (
     select kind, name from waybill.outbox_messages
      where relayed_at is null and cancelled_at is null and queue = place.queue and priority = place.priority
      order by group_key, available_at limit $1) w)
  union all
  (select kind, name from waybill.outbox_messages
    where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null
    order by relayed_at limit $1))
select kind, name, count(*)::int as messages from seen group by kind, name order by kind, name;

-- retry
update waybill.outbox_messages m set revision = m.revision + 1, relayed_at = null, available_at = case when m.order_key is null then now() else 'infinity' end, order_due = case when m.order_key is not null then now() end, delivery_key = coalesce(m.delivery_key, m.shared_key), shared_key = null, status = 'pending', attempts = 0, dead_at = null, dead_cause = null, cancelled_at = null
where id = $1 and status = any ('{dead,cancelled}') and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null))) is null) and not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased') returning id, kind, name, queue, status, attempts as "attemptCount", max_attempts as "maxAttempts",
left(last_error, 10000) as "lastError", coalesce(delivery_key, shared_key) as "deliveryKey",
coalesce(replacements, 0) as replacements, priority, group_key as "group", order_key as "orderKey", claimed_by as "claimedBy", coalesce(tags, '{}') as tags,
case when kind = 'email' then left(payload ->> 'subject', 200) end as subject, case when kind = 'email' then left(coalesce(payload #>> '{to,0,address}', payload #>> '{to,0}', payload #>> '{to,address}', payload ->> 'to'), 400) end as recipient,
to_json(created_at) #>> '{}' as "createdAt", to_json(case when available_at = 'infinity' then coalesce(order_due, available_at) else available_at end) #>> '{}' as "availableAt", to_json(relayed_at) #>> '{}' as "relayedAt", to_json(claimed_until) #>> '{}' as "claimedUntil", to_json(case when status = 'sending' and prefetched then (
    select greatest(b.at, claimed_at) from waybill.outbox_begun b
     where b.worker = claimed_by and ('x' || right(id::text, 8))::bit(32)::int = any(b.ids) limit 1)
  when status = 'sending' then claimed_at end) #>> '{}' as "runningSince", to_json(delivered_at) #>> '{}' as "deliveredAt", to_json(dead_at) #>> '{}' as "deadAt", to_json(cancelled_at) #>> '{}' as "cancelledAt",
request_id as "requestId", split_part(traceparent, '-', 2) as "traceId", parent_id as "parentId", dead_cause as cause, case when status in ('pending', 'failed') then coalesce(
(select case 
  when (q.paused_at is not null and coalesce(q.paused_until > now(), true)) then jsonb_build_object('state', 'paused', 'queue', q.name, 'reason', q.paused_reason, 'since', to_json(q.paused_at) #>> '{}', 'until', to_json(q.paused_until) #>> '{}', 'by', q.paused_by, 'rate', null)
  when q.parked_at is not null then jsonb_build_object('state', 'parked', 'queue', q.name, 'reason', q.parked_reason, 'since', to_json(q.parked_at) #>> '{}', 'until', null, 'by', q.parked_by, 'rate', null)
  when q.held_until > now() then jsonb_build_object('state', 'held', 'queue', q.name, 'reason', q.held_reason, 'since', to_json(q.held_at) #>> '{}', 'until', to_json(q.held_until) #>> '{}', 'by', null, 'rate', null)
  when (g.paused_at is not null and coalesce(g.paused_until > now(), true)) then jsonb_build_object('group', g.group_key, 'state', 'paused', 'queue', q.name, 'reason', g.paused_reason, 'since', to_json(g.paused_at) #>> '{}', 'until', to_json(g.paused_until) #>> '{}', 'by', g.paused_by, 'rate', null)
  when g.parked_at is not null then jsonb_build_object('group', g.group_key, 'state', 'parked', 'queue', q.name, 'reason', g.parked_reason, 'since', to_json(g.parked_at) #>> '{}', 'until', null, 'by', null, 'rate', null)
  when g.held_until > now() then jsonb_build_object('group', g.group_key, 'state', 'held', 'queue', q.name, 'reason', g.held_reason, 'since', to_json(g.held_at) #>> '{}', 'until', to_json(g.held_until) #>> '{}', 'by', null, 'rate', null)
  when q.is_limited and available_at <= now() and (q.limits ->> 'concurrency')::int <= (select count(*) from waybill.outbox_messages f where f.relayed_at is not null and f.delivered_at is null and f.dead_at is null and f.cancelled_at is null and f.queue = q.name and f.claimed_until > now()) then jsonb_build_object('state', 'limited', 'queue', q.name, 'reason', format('its limit of %s are in flight', (q.limits ->> 'concurrency')::int), 'since', null, 'until', null, 'by', null, 'rate', null)
  when q.is_limited and available_at <= now() and (q.limits ->> 'groupConcurrency')::int <= (select count(*) from waybill.outbox_messages f where f.relayed_at is not null and f.delivered_at is null and f.dead_at is null and f.cancelled_at is null and f.queue = q.name and f.claimed_until > now() and f.group_key = own.own_group) then jsonb_build_object('group', own.own_group, 'state', 'limited', 'queue', q.name, 'reason', format('its limit of %s are in flight', (q.limits ->> 'groupConcurrency')::int), 'since', null, 'until', null, 'by', null, 'rate', null)
  when ((q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8) is not null and available_at <= now() then jsonb_build_object('state', 'rate', 'queue', q.name, 'reason', null, 'since', null, 'until', null, 'by', null, 'rate', ((q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8))
end from waybill.queues q
      cross join lateral (select queue as own_queue, group_key as own_group) own
       left join waybill.queue_groups g on g.queue = q.name and g.group_key = own.own_group and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))
     where q.name = own.own_queue), (select jsonb_build_object('state', 'order', 'queue', first.queue, 'reason', format('the message %s comes first and is %s', first.id, first.status), 'since', to_json(first.dead_at) #>> '{}', 'until', null, 'by', null, 'rate', null) from (select queue as own_queue, order_key as own_key, available_at as own_time) own cross join lateral (
    select f.queue, f.id, f.status, f.dead_at from waybill.outbox_messages f
     where f.queue = own.own_queue and f.order_key = own.own_key
       and f.order_due is not null and f.delivered_at is null and f.cancelled_at is null
     order by f.available_at, f.order_position limit 1) first
 where own.own_time = 'infinity'), (select jsonb_build_object('state', 'provider', 'queue', queue, 'reason', format('an earlier attempt may have arrived at %s, which is parked: %s', p.name, p.parked_reason), 'since', to_json(h.waits_since) #>> '{}', 'until', null, 'by', null, 'rate', null) from waybill.email_handovers h join waybill.email_providers p on p.name = h.provider
 where h.message_id = id and h.waits_since is not null and p.parked_at is not null)) end as "waitsFor";

-- end an attempt
with held as (
  select id, attempts, claimed_at, claimed_by from waybill.outbox_messages where id = $1 and status = any ('{sending}') for update),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, dead_at = case when $2::text = 'dead' then now() when $2::text = 'cancelled' then m.dead_at else m.dead_at end, order_due = case when $2::text = 'dead' then case when m.order_skips then null else m.order_due end when $2::text = 'cancelled' then null else m.order_due end, status = case when $2::text = 'dead' then 'dead' when $2::text = 'cancelled' then 'cancelled' else case when m.attempts <= 1 then 'pending' else 'failed' end end, cancelled_at = case when $2::text = 'dead' then m.cancelled_at when $2::text = 'cancelled' then now() else m.cancelled_at end, relayed_at = case when $2::text = 'dead' then m.relayed_at when $2::text = 'cancelled' then m.relayed_at else null end, available_at = case when $2::text = 'dead' then m.available_at when $2::text = 'cancelled' then m.available_at else now() end, attempts = case when $2::text = 'dead' then m.attempts when $2::text = 'cancelled' then m.attempts else m.attempts - 1 end, claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null, last_error = $3::text, ends = m.ends + 1
   from held h where m.id = $1 and m.id = h.id
  returning m.id, m.kind, m.queue, m.ends, m.status),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, case status when 'dead' then 'dead' when 'cancelled' then 'cancelled' else 'released' end, count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
counted as (
insert into waybill.counters (name, labels, value)
select 'waybill_dead_letters_total', jsonb_build_object('kind', kind, 'queue', case when exists (
           select from waybill.counters c where c.name = 'waybill_dead_letters_total' and c.labels ->> 'queue' = queue)
         or (select count(distinct c.labels ->> 'queue') from waybill.counters c where c.name = 'waybill_dead_letters_total') < 100 then queue else 'other' end,
       'cause', 'ended'), 1
  from ended where status = 'dead'
on conflict (name, labels) do update set value = waybill.counters.value + 1),
tried as (
  insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
  select h.id, h.attempts, h.claimed_at, h.claimed_by, 'ended', $3::text from held h join ended e on e.id = h.id)
select id::text as id, pg_notify('waybill_worker', 'end ' || id) from ended;

-- reschedule
update waybill.outbox_messages m set revision = m.revision + 1, status = case when m.status = 'failed' then 'failed' else 'pending' end, relayed_at = case when m.shared_key is null then null else m.relayed_at end, available_at = case when m.order_due is not null and m.available_at = 'infinity' then m.available_at else greatest(now(), coalesce($2::text::timestamptz, now() + ($3::float8 * interval '1 millisecond'))) end, order_due = case when m.order_due is not null then greatest(now(), coalesce($2::text::timestamptz, now() + ($3::float8 * interval '1 millisecond'))) end
where id = $1 and status = any ('{pending,failed}') returning id, kind, name, queue, status, attempts as "attemptCount", max_attempts as "maxAttempts",
left(last_error, 10000) as "lastError", coalesce(delivery_key, shared_key) as "deliveryKey",
coalesce(replacements, 0) as replacements, priority, group_key as "group", order_key as "orderKey", claimed_by as "claimedBy", coalesce(tags, '{}') as tags,
case when kind = 'email' then left(payload ->> 'subject', 200) end as subject, case when kind = 'email' then left(coalesce(payload #>> '{to,0,address}', payload #>> '{to,0}', payload #>> '{to,address}', payload ->> 'to'), 400) end as recipient,
to_json(created_at) #>> '{}' as "createdAt", to_json(case when available_at = 'infinity' then coalesce(order_due, available_at) else available_at end) #>> '{}' as "availableAt", to_json(relayed_at) #>> '{}' as "relayedAt", to_json(claimed_until) #>> '{}' as "claimedUntil", to_json(case when status = 'sending' and prefetched then (
    select greatest(b.at, claimed_at) from waybill.outbox_begun b
     where b.worker = claimed_by and ('x' || right(id::text, 8))::bit(32)::int = any(b.ids) limit 1)
  when status = 'sending' then claimed_at end) #>> '{}' as "runningSince", to_json(delivered_at) #>> '{}' as "deliveredAt", to_json(dead_at) #>> '{}' as "deadAt", to_json(cancelled_at) #>> '{}' as "cancelledAt",
request_id as "requestId", split_part(traceparent, '-', 2) as "traceId", parent_id as "parentId", dead_cause as cause, case when status in ('pending', 'failed') then coalesce(
(select case 
  when (q.paused_at is not null and coalesce(q.paused_until > now(), true)) then jsonb_build_object('state', 'paused', 'queue', q.name, 'reason', q.paused_reason, 'since', to_json(q.paused_at) #>> '{}', 'until', to_json(q.paused_until) #>> '{}', 'by', q.paused_by, 'rate', null)
  when q.parked_at is not null then jsonb_build_object('state', 'parked', 'queue', q.name, 'reason', q.parked_reason, 'since', to_json(q.parked_at) #>> '{}', 'until', null, 'by', q.parked_by, 'rate', null)
  when q.held_until > now() then jsonb_build_object('state', 'held', 'queue', q.name, 'reason', q.held_reason, 'since', to_json(q.held_at) #>> '{}', 'until', to_json(q.held_until) #>> '{}', 'by', null, 'rate', null)
  when (g.paused_at is not null and coalesce(g.paused_until > now(), true)) then jsonb_build_object('group', g.group_key, 'state', 'paused', 'queue', q.name, 'reason', g.paused_reason, 'since', to_json(g.paused_at) #>> '{}', 'until', to_json(g.paused_until) #>> '{}', 'by', g.paused_by, 'rate', null)
  when g.parked_at is not null then jsonb_build_object('group', g.group_key, 'state', 'parked', 'queue', q.name, 'reason', g.parked_reason, 'since', to_json(g.parked_at) #>> '{}', 'until', null, 'by', null, 'rate', null)
  when g.held_until > now() then jsonb_build_object('group', g.group_key, 'state', 'held', 'queue', q.name, 'reason', g.held_reason, 'since', to_json(g.held_at) #>> '{}', 'until', to_json(g.held_until) #>> '{}', 'by', null, 'rate', null)
  when q.is_limited and available_at <= now() and (q.limits ->> 'concurrency')::int <= (select count(*) from waybill.outbox_messages f where f.relayed_at is not null and f.delivered_at is null and f.dead_at is null and f.cancelled_at is null and f.queue = q.name and f.claimed_until > now()) then jsonb_build_object('state', 'limited', 'queue', q.name, 'reason', format('its limit of %s are in flight', (q.limits ->> 'concurrency')::int), 'since', null, 'until', null, 'by', null, 'rate', null)
  when q.is_limited and available_at <= now() and (q.limits ->> 'groupConcurrency')::int <= (select count(*) from waybill.outbox_messages f where f.relayed_at is not null and f.delivered_at is null and f.dead_at is null and f.cancelled_at is null and f.queue = q.name and f.claimed_until > now() and f.group_key = own.own_group) then jsonb_build_object('group', own.own_group, 'state', 'limited', 'queue', q.name, 'reason', format('its limit of %s are in flight', (q.limits ->> 'groupConcurrency')::int), 'since', null, 'until', null, 'by', null, 'rate', null)
  when ((q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8) is not null and available_at <= now() then jsonb_build_object('state', 'rate', 'queue', q.name, 'reason', null, 'since', null, 'until', null, 'by', null, 'rate', ((q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8))
end from waybill.queues q
      cross join lateral (select queue as own_queue, group_key as own_group) own
       left join waybill.queue_groups g on g.queue = q.name and g.group_key = own.own_group and ((g.paused_at is not null and coalesce(g.paused_until > now(), true)) or g.parked_at is not null or coalesce(g.held_until > now(), false))
     where q.name = own.own_queue), (select jsonb_build_object('state', 'order', 'queue', first.queue, 'reason', format('the message %s comes first and is %s', first.id, first.status), 'since', to_json(first.dead_at) #>> '{}', 'until', null, 'by', null, 'rate', null) from (select queue as own_queue, order_key as own_key, available_at as own_time) own cross join lateral (
    select f.queue, f.id, f.status, f.dead_at from waybill.outbox_messages f
     where f.queue = own.own_queue and f.order_key = own.own_key
       and f.order_due is not null and f.delivered_at is null and f.cancelled_at is null
     order by f.available_at, f.order_position limit 1) first
 where own.own_time = 'infinity'), (select jsonb_build_object('state', 'provider', 'queue', queue, 'reason', format('an earlier attempt may have arrived at %s, which is parked: %s', p.name, p.parked_reason), 'since', to_json(h.waits_since) #>> '{}', 'until', null, 'by', null, 'rate', null) from waybill.email_handovers h join waybill.email_providers p on p.name = h.provider
 where h.message_id = id and h.waits_since is not null and p.parked_at is not null)) end as "waitsFor";

-- cancel
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, ends = m.ends + 1
   where m.id = $1 and m.status = any ('{pending,failed}')
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id from ended;

-- dismiss
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), order_due = null, dead_at = null, dead_cause = null, ends = m.ends + 1
   where m.id = $1 and case when m.status = any ('{dead}') and m.dead_at is not null and m.order_due is not null then true end
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select id::text as id from ended;

-- bulk: start
insert into waybill.bulk_acts (id, action, filter, arguments, rate, most, matched, at_least, by, via, reason, newest, state, ended_at)
values ($1::uuid, $2, $3::text::jsonb, $4::text::jsonb, $5, $6, $7, $8, $9, $10, $11,
        (select id from waybill.outbox_messages order by id desc limit 1),
        case when $7 = 0 then 'done' else 'running' end, case when $7 = 0 then now() end)
returning pg_notify('waybill_bulk', id::text);

-- bulk: take
select id::text as id, action, filter, arguments ->> 'due' as due, rate, most, newest::text as newest, reached::text as reached,
      is_walked as "isWalked", matched, at_least as "atLeast", changed, skipped, to_json(created_at) #>> '{}' as since, by, via, reason
 from waybill.bulk_acts
where state = 'running' and (next_at is null or next_at <= clock_timestamp())
order by worked_at nulls first, id limit 1 for update skip locked;

-- bulk: next
select ceil(extract(epoch from min(case when next_at > clock_timestamp() then next_at - clock_timestamp() else interval '200 ms' end)) * 1000)::float8
     as ms
from waybill.bulk_acts where state = 'running';

-- bulk: start of a walk
select id::text as newest, to_json(now()) #>> '{}' as since from waybill.outbox_messages order by id desc limit 1;

-- bulk: first stretch
select m.id::text as id from waybill.outbox_messages m where m.id <= $1::uuid order by m.id desc offset 20000 limit 1;

-- bulk: next stretch
select m.id::text as id from waybill.outbox_messages m where m.id < $1::uuid order by m.id desc offset 20000 limit 1;

-- bulk: batch of retry
with seen as materialized (
  select id from waybill.outbox_messages where name = any($1::text[]) and id <= $3::uuid and id >= $4::uuid and created_at <= $5::text::timestamptz and status = any($2::text[]) order by id desc limit 500),
got as materialized (
  select id, kind, name, delivery_key, shared_key, case when order_due is not null and available_at = 'infinity' then order_due else available_at end as due from waybill.outbox_messages
   where id = any(array(select id from seen)) and status = any($2::text[]) for update skip locked),
fit as (
  select id from (
    select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, shared_key, id::text) order by id desc) as place from got m where not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased')) m
   where place = 1 and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null))) is null) and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_messages o where o.kind = m.kind and o.name = m.name and o.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and o.delivery_key is not null and o.dead_at is null and o.cancelled_at is null) is null)),
ended as (update waybill.outbox_messages m set revision = m.revision + 1, relayed_at = null, available_at = case when m.order_key is null then now() else 'infinity' end, order_due = case when m.order_key is not null then now() end, delivery_key = coalesce(m.delivery_key, m.shared_key), shared_key = null, status = 'pending', attempts = 0, dead_at = null, dead_cause = null, cancelled_at = null where m.id = any(array(select id from fit)) returning m.id, m.queue)
select (select count(*) from ended)::int as changed,
       ((select count(*) from got) - (select count(*) from fit))::int as unfit,
       '{}'::text[] as ended,
       (select count(*) from got m where exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased'))::int as erased,
       array(select id::text from seen order by id desc) as seen,
       array(select id::text from seen where id not in (select id from got)) as locked,
       '{}'::jsonb as others,
       array(select distinct queue from ended) as queues;

-- bulk: batch of cancel
with seen as materialized (
  select id from waybill.outbox_messages where name = any($1::text[]) and id <= $3::uuid and id >= $4::uuid and created_at <= $5::text::timestamptz and status = any($2::text[]) order by id desc limit 500),
got as materialized (
  select id, kind, name, delivery_key, shared_key, case when order_due is not null and available_at = 'infinity' then order_due else available_at end as due from waybill.outbox_messages
   where id = any(array(select id from seen)) and status = any($2::text[]) for update skip locked),
fit as (select id from got),
others as (
  select status as reason, count(*)::int as n from waybill.outbox_messages
   where name = any($1::text[]) and id <= $8::uuid and id >= case when (select count(*) from seen) < 500 then $7::uuid
                              else (select id from seen order by id limit 1) end and created_at <= $9::text::timestamptz and not status = any ('{pending,failed}')
     and (status = any ('{sending}') or delivered_at >= $6::text::timestamptz or dead_at >= $6::text::timestamptz or cancelled_at >= $6::text::timestamptz)
   group by 1),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, ends = m.ends + 1
   where m.id = any(array(select id from fit))
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
select (select count(*) from ended)::int as changed,
       ((select count(*) from got) - (select count(*) from fit))::int as unfit,
       '{}'::text[] as ended,
       0::int as erased,
       array(select id::text from seen order by id desc) as seen,
       array(select id::text from seen where id not in (select id from got)) as locked,
       coalesce((select jsonb_object_agg(reason, n) from others), '{}') as others,
       array(select distinct queue from ended) as queues;

-- bulk: batch of hold
with seen as materialized (
  select id from waybill.outbox_messages where name = any($1::text[]) and id <= $3::uuid and id >= $4::uuid and created_at <= $5::text::timestamptz and status = any($2::text[]) order by id desc limit 500),
got as materialized (
  select id, kind, name, delivery_key, shared_key, case when order_due is not null and available_at = 'infinity' then order_due else available_at end as due from waybill.outbox_messages
   where id = any(array(select id from seen)) and status = any($2::text[]) for update skip locked),
fit as (select id from got where due < $10::text::timestamptz),
others as (
  select status as reason, count(*)::int as n from waybill.outbox_messages
   where name = any($1::text[]) and id <= $8::uuid and id >= case when (select count(*) from seen) < 500 then $7::uuid
                              else (select id from seen order by id limit 1) end and created_at <= $9::text::timestamptz and not status = any ('{pending,failed}')
     and (status = any ('{sending}') or delivered_at >= $6::text::timestamptz or dead_at >= $6::text::timestamptz or cancelled_at >= $6::text::timestamptz)
   group by 1),
ended as (update waybill.outbox_messages m set revision = m.revision + 1, status = case when m.status = 'failed' then 'failed' else 'pending' end, relayed_at = case when m.shared_key is null then null else m.relayed_at end, available_at = case when m.order_due is not null and m.available_at = 'infinity' then m.available_at else $11::text::timestamptz end, order_due = case when m.order_due is not null then $11::text::timestamptz end where m.id = any(array(select id from fit)) returning m.id, m.queue)
select (select count(*) from ended)::int as changed,
       ((select count(*) from got) - (select count(*) from fit))::int as unfit,
       '{}'::text[] as ended,
       0::int as erased,
       array(select id::text from seen order by id desc) as seen,
       array(select id::text from seen where id not in (select id from got)) as locked,
       coalesce((select jsonb_object_agg(reason, n) from others), '{}') as others,
       array(select distinct queue from ended) as queues;

-- bulk: preview of retry
with found as materialized (select * from (select id, kind, name, queue, status, delivery_key, shared_key, created_at, available_at, order_due from waybill.outbox_messages where (dead_at is not null) and name = any($1::text[]) and status = any($2::text[])) f limit 100001)
select (select count(*)::int from found) as matched, coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select name as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byName", coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select queue as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byQueue", coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select status as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byStatus",
       (select to_json(min(created_at)) #>> '{}' from found) as oldest, (select to_json(max(created_at)) #>> '{}' from found) as newest,
       array(select id::text from found order by id desc limit 10) as ids,
       (select count(*)::int from (
    select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, shared_key, id::text) order by id desc) as place from found m where not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased')) m
   where not (place = 1 and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and (k.pruned_at < 'infinity' or exists (
    select from waybill.outbox_messages h where h.id = k.message_id and h.shared_key is not null and h.delivered_at is null and h.dead_at is null and h.cancelled_at is null))) is null) and (coalesce(m.delivery_key, m.shared_key) is null or (
select true from waybill.outbox_messages o where o.kind = m.kind and o.name = m.name and o.delivery_key = coalesce(m.delivery_key, m.shared_key)
   and o.delivery_key is not null and o.dead_at is null and o.cancelled_at is null) is null))) as unfit,
       (select count(*) from found m where exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased'))::int as erased,
       false as bounded,
       array(select queue from found where queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) group by 1 order by count(*) desc limit 3) as open,
       array(select queue from found where queue = any(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) group by 1 order by count(*) desc limit 3) as closed,
       (select count(*)::int from waybill.processes
where (role = 'all' or 'relay' = any(string_to_array(role, '+'))) and heartbeat_at > now() - interval '30 seconds') as relays;

-- bulk: preview of cancel
with found as materialized (select * from (select id, kind, name, queue, status, delivery_key, shared_key, created_at, available_at, order_due from waybill.outbox_messages where relayed_at is null and cancelled_at is null and name = any($1::text[]) and status = any($2::text[]) union all select id, kind, name, queue, status, delivery_key, shared_key, created_at, available_at, order_due from waybill.outbox_messages where id in (select message_id from waybill.outbox_keys where pruned_at = 'infinity') and not (relayed_at is null and cancelled_at is null) and name = any($1::text[]) and status = any($2::text[])) f limit 100001)
select (select count(*)::int from found) as matched, coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select name as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byName", coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select queue as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byQueue", coalesce((
  select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
    select status as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit 20) s), '[]') as "byStatus",
       (select to_json(min(created_at)) #>> '{}' from found) as oldest, (select to_json(max(created_at)) #>> '{}' from found) as newest,
       array(select id::text from found order by id desc limit 10) as ids,
       (select 0) as unfit,
       0::int as erased,
       false as bounded,
       array(select queue from found where queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) group by 1 order by count(*) desc limit 3) as open,
       array(select queue from found where queue = any(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()))) group by 1 order by count(*) desc limit 3) as closed,
       (select count(*)::int from waybill.processes
where (role = 'all' or 'relay' = any(string_to_array(role, '+'))) and heartbeat_at > now() - interval '30 seconds') as relays;

-- bulk: note locked
insert into waybill.bulk_locked (act_id, message_id) select $1::uuid, unnest($2::uuid[]) on conflict do nothing;

-- bulk: locked
select message_id::text as id from waybill.bulk_locked where act_id = $1::uuid order by visits, message_id desc limit $2;

-- bulk: visited
with gone as (
  delete from waybill.bulk_locked where act_id = $1::uuid and message_id = any($2::uuid[]) and message_id <> all($3::uuid[]))
update waybill.bulk_locked set visits = visits + 1 where act_id = $1::uuid and message_id = any($3::uuid[]);

-- bulk: progress
update waybill.bulk_acts
  set filter = coalesce($8::text::jsonb, filter), changed = changed + $2, skipped = $3::text::jsonb, reached = $4::uuid, is_walked = $5, errors = 0, last_error = null,
      state = case when $6 then 'done' else state end, ended_at = case when $6 then clock_timestamp() end,
      started_at = coalesce(started_at, clock_timestamp()), worked_at = clock_timestamp(),
      next_at = greatest(
        case when $7 then clock_timestamp() + interval '1000 ms' end,
        case when rate is not null then greatest(next_at, clock_timestamp() - interval '250 ms') + $2 / rate * interval '1 s' end)
where id = $1::uuid;

-- bulk: failed
update waybill.bulk_acts
  set errors = errors + 1, last_error = $2, next_at = clock_timestamp() + (errors + 1) * interval '1 s', worked_at = clock_timestamp(),
      state = case when errors + 1 >= 10 then 'failed' else state end,
      ended_at = case when errors + 1 >= 10 then clock_timestamp() end
where id = $1::uuid and state = 'running';

-- bulk: show
select id::text as id, action, filter, to_json((arguments ->> 'due')::timestamptz) #>> '{}' as due, state, rate, most as "limit",
matched, at_least as "atLeast", changed, skipped, (select count(*)::int from waybill.bulk_locked l where l.act_id = b.id) as locked,
last_error as "lastError", by, via, reason, to_json(created_at) #>> '{}' as "createdAt", to_json(started_at) #>> '{}' as "startedAt",
to_json(worked_at) #>> '{}' as "workedAt", to_json(ended_at) #>> '{}' as "endedAt", (select count(*)::int from waybill.processes
where (role = 'all' or 'relay' = any(string_to_array(role, '+'))) and heartbeat_at > now() - interval '30 seconds') as relays from waybill.bulk_acts b where id = $1::uuid;

-- counts of the states
with waiting as materialized (
  select status, case when order_due is not null and available_at = 'infinity' then order_due else available_at end > now() as "isLater" from waybill.outbox_messages
   where relayed_at is null and cancelled_at is null and delivered_at is null and dead_at is null limit 100001)
select (select count(*)::int from waiting) as waiting,
       (select count(*)::int from waiting where status = 'pending') as pending,
       (select count(*)::int from waiting where status = 'pending' and "isLater") as scheduled,
       (select count(*)::int from waiting where status = 'failed') as failed,
       (select count(*)::int from (select from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null limit 100001) c) as sending, (select count(*)::int from (select from waybill.outbox_messages where dead_at is not null limit 100001) c) as dead, (select count(*)::int from (select from waybill.outbox_messages where cancelled_at is not null limit 100001) c) as cancelled,
       (select greatest(0, coalesce(sum(case outcome when 'delivered' then n when 'pruned delivered' then -n end), 0))::float8
          from waybill.outbox_audit where outcome in ('delivered', 'pruned delivered')) as delivered;

-- failures
with
died as materialized (
  select id, dead_at as at from waybill.outbox_messages where dead_at is not null and dead_at >= $1 order by dead_at desc limit 20000),
tried as materialized (
  select message_id, finished_at from (
    select message_id, finished_at, outcome from waybill.outbox_attempts order by id desc limit 20000) a
   where finished_at >= $1 and outcome in ('retried', 'ambiguous', 'expired')),
seen as (
  select id, max(at) as at from (select id, at from died union all select message_id, finished_at from tried) s group by id),
read as (select (select count(*) from died) >= 20000 or (select count(*) from tried) >= 20000 as reached),
keyed as (
  select m.id, s.at, translate(left(coalesce(last_error, ''), 600), '0123456789', '##########') as error, m.name, m.kind, m.status, m.dead_cause as cause,
         least(29, greatest(0, floor(extract(epoch from s.at - $1::timestamptz) * 1000 / $2::float8)))::int as bar
    from seen s join (select * from waybill.outbox_messages where status = any($3::text[])) m on m.id = s.id)
select error, name, kind, cause, bar, count(*)::int as n, count(*) filter (where status = 'dead')::int as dead,
       to_json(min(at)) #>> '{}' as first, to_json(max(at)) #>> '{}' as last, ((array_agg(id::text order by at desc))[1:10]) as ids,
       (select reached from read) as reached
  from keyed group by error, name, kind, cause, bar order by n desc limit 20000;

-- versions of failures
select a.message_id::text as id, coalesce(p.application, p.version) as version
from waybill.outbox_attempts a join waybill.processes p on p.id = a.worker where a.message_id = any($1::uuid[]) group by 1, 2;

-- mutes of failures
select key, to_json(at) #>> '{}' as at, by, reason, counts from waybill.failure_mutes
where at > now() - interval '30 days' order by at desc limit 1000;

-- mute failures
with ended as (
  delete from waybill.failure_mutes
   where key <> $1 and (at <= now() - interval '30 days'
     or key in (select key from waybill.failure_mutes order by at desc offset 999)))
insert into waybill.failure_mutes as m (key, by, reason, counts) values ($1, $2, $3, $4::text::jsonb)
on conflict (key) do update set at = now(), by = excluded.by, reason = excluded.reason, counts = excluded.counts;

-- bulk: list
select id::text as id, action, filter, to_json((arguments ->> 'due')::timestamptz) #>> '{}' as due, state, rate, most as "limit",
matched, at_least as "atLeast", changed, skipped, (select count(*)::int from waybill.bulk_locked l where l.act_id = b.id) as locked,
last_error as "lastError", by, via, reason, to_json(created_at) #>> '{}' as "createdAt", to_json(started_at) #>> '{}' as "startedAt",
to_json(worked_at) #>> '{}' as "workedAt", to_json(ended_at) #>> '{}' as "endedAt", (select count(*)::int from waybill.processes
where (role = 'all' or 'relay' = any(string_to_array(role, '+'))) and heartbeat_at > now() - interval '30 seconds') as relays from waybill.bulk_acts b
 where ($1::text[] is null or state = any($1)) and ($2::uuid is null or b.id < $2) order by b.id desc limit $3;

-- bulk: move
update waybill.bulk_acts
   set state = $3, errors = 0, next_at = null, ended_at = case when $3 = 'stopped' then clock_timestamp() end,
       filter = case when $3 = 'stopped' then $4::text::jsonb else filter end
 where id = $1::uuid and state = any($2::text[])
returning pg_notify('waybill_bulk', id::text);

-- bulk: prune
delete from waybill.bulk_acts where id in (
select id from waybill.bulk_acts where ended_at < now() - $1 * interval '1 millisecond' order by id limit $2);

-- blocked order keys
select b.dead_at::text as died, b.order_key as "orderKey", b.id::text as "messageId", b.kind, b.name, to_json(b.dead_at) #>> '{}' as "deadAt",
      left(b.last_error, 10000) as error, behind.n as waiting
 from (select * from waybill.outbox_messages where dead_at is not null and order_due is not null and case when queue = $1 then true end
         and ($3::text is null or dead_at >= $3::timestamptz and (dead_at, id) > ($3::timestamptz, $4::uuid)) order by dead_at, id limit $2) b
 cross join lateral (
   select count(*)::int as n from (
     select from waybill.outbox_messages w
      where w.queue = b.queue and w.order_key = b.order_key and w.order_due is not null and w.available_at = 'infinity'
      limit 10000) w) behind
order by b.dead_at, b.id;

-- unblock an order key
with blocking as (
  select id from waybill.outbox_messages where queue = $1 and order_key = $2 and dead_at is not null and order_due is not null for update),
unblocked as (
  update waybill.outbox_messages m set revision = m.revision + 1, order_skips = true, order_due = null where m.id = any(array(select id from blocking)) returning m.id),
noted as (
  insert into waybill.outbox_notes (message_id, type, detail) select id, 'unblocked', $3 from unblocked)
select id::text as id, pg_notify('waybill_outbox', $1) from unblocked;

-- advance order keys
select waybill.outbox_order_advance(array_agg(xact))::text as done, count(*)::text as n from (
select distinct xact from waybill.outbox_order_changes where is_late order by xact limit $1) late having count(*) > 0;

-- prune acts
with allowed as materialized (select set_config('waybill.prune_audit', 'on', true) as on)
delete from waybill.audit where id in (
  select id from allowed, lateral (
    select id, at from waybill.audit order by id limit $2) oldest
   where at < now() - $1 * interval '1 millisecond')
returning true;

-- prune keys
delete from waybill.outbox_keys where (kind, name, delivery_key) in (
  select kind, name, delivery_key from waybill.outbox_keys
   where pruned_at < (now() - ($1 * interval '1 millisecond')) limit $2 for update skip locked)
returning true;

-- import: tags of the recorded
select id::text as id,
     coalesce(tags, '{}') || array(select n.detail from waybill.outbox_notes n where n.message_id = m.id and n.type = 'imported') as tags
from waybill.outbox_messages m where id = any($1::text::uuid[]);

-- import: keys in use
select delivery_key as key from waybill.outbox_messages
 where delivery_key = any($1::text::text[]) and delivery_key is not null and dead_at is null and cancelled_at is null
union
select coalesce(delivery_key, shared_key) from waybill.outbox_messages
 where coalesce(delivery_key, shared_key) = any($1::text::text[])
   and (shared_key is not null or (delivery_key is not null and (dead_at is not null or cancelled_at is not null)));

-- import: tags in use
select distinct t.tag from waybill.outbox_messages m cross join unnest(m.tags) as t(tag)
where m.tags && $1::text::text[] and m.tags is not null and t.tag = any($1::text::text[]);

-- import: lines that are known
with found as (
  select id, delivery_key as key, cancelled_at from waybill.outbox_messages
   where delivery_key = any($2::text::text[]) and delivery_key is not null and dead_at is null and cancelled_at is null
  union all
  select id, coalesce(delivery_key, shared_key), cancelled_at from waybill.outbox_messages
   where coalesce(delivery_key, shared_key) = any($2::text::text[])
     and (shared_key is not null or (delivery_key is not null and (dead_at is not null or cancelled_at is not null)))
  union all
  select id, null, cancelled_at from waybill.outbox_messages where id = any($1::text::uuid[]))
select f.id::text as id, f.key,
       coalesce((select bool_or(n.type = 'exported' and n.detail like 'to a file of JSON lines%' and n.at >= f.cancelled_at)
                   from waybill.outbox_notes n where n.message_id = f.id), false) as away,
       array(select n.detail from waybill.outbox_notes n where n.message_id = f.id and n.type = 'imported') as marks
  from found f;

-- import: note the lines
insert into waybill.outbox_notes (message_id, type, detail)
select n.id, 'imported', n.mark from unnest($1::text::uuid[], $2::text::text[]) as n(id, mark);

-- export: end
with ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, ends = m.ends + 1
   where m.id = any($1::uuid[])
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3),
noted as (
  insert into waybill.outbox_notes (message_id, type, detail)
  select id, 'exported', n.note from ended join unnest($1::uuid[], $2::text[]) as n(message_id, note) on n.message_id = id)
select id::text as id from ended;

-- prune groups
delete from waybill.queue_groups where ctid = any(array(
  select g.ctid from waybill.queue_groups g
   where g.parked_at is null and coalesce(g.held_until <= now(), true) and coalesce(g.failed_at <= (now() - interval '32 days'), true)
     and (g.paused_at is null or coalesce(g.paused_until <= now(), false)) and g.next_at < (now() - (interval '1 minute' + coalesce((
  select (q.limits -> 'groupRate' ->> 'burst')::float8 * waybill.group_spacing(q.limits -> 'groupRate')
    from waybill.queues q where q.name = g.queue), interval '0')))
   limit $1 for update of g skip locked))
returning true;

-- lock key
select pg_try_advisory_xact_lock(hashtextextended($1, 0))::text as free;

-- take key
insert into waybill.outbox_idempotency as k (scope, key, fingerprint) values ($1, $2, $3)
on conflict (scope, key) do update set fingerprint = excluded.fingerprint, answer = null, created_at = excluded.created_at
  where k.created_at < (clock_timestamp() - ($4::float8 * interval '1 millisecond'))
returning key;

-- kept answer
select fingerprint, answer from waybill.outbox_idempotency where scope = $1 and key = $2;

-- keep answer
update waybill.outbox_idempotency set answer = $3 where scope = $1 and key = $2;

-- prune answers
with asked as (
  select scope, key from waybill.outbox_idempotency
   where fingerprint is not null and created_at < (clock_timestamp() - ($1::float8 * interval '1 millisecond'))
   limit $3 for update skip locked),
handled as (
  select scope, key from waybill.outbox_idempotency
   where fingerprint is null and created_at < (clock_timestamp() - ($2::float8 * interval '1 millisecond'))
   limit $3 for update skip locked)
delete from waybill.outbox_idempotency
 where (scope, key) in (select scope, key from asked union all select scope, key from handled)
returning true;

-- cron: stage
insert into waybill.cron_manifests as m (hash, jobs) values ($1, $2)
on conflict (hash) do update set staged_at = now(), status = case when m.status = 'active' then 'active' else 'staged' end
returning status;

-- cron: report
with seen as (
  insert into waybill.cron_loaded as l (process, manifest, delivers) values ($1, $2, $3)
  on conflict (process) do update set manifest = excluded.manifest, delivers = l.delivers or excluded.delivers, seen_at = now()),
forgotten as (delete from waybill.cron_loaded where seen_at < now() - interval '1 hour' and process <> $1),
ready as (update waybill.cron_manifests set status = 'ready', ready_at = now() where hash = $2 and status = 'staged')
select hash, status from waybill.cron_manifests
 where hash = $2 or hash in (select manifest from waybill.cron_loaded where seen_at > now() - $4 * interval '1 millisecond')
 order by staged_at desc;

-- cron: schedule jobs
with n as (select * from unnest($1::text[], $2::jsonb[], $3::timestamptz[]) as n(name, definition, next_at)),
gone as (delete from waybill.cron_jobs j where not exists (select from n where n.name = j.name))
insert into waybill.cron_jobs as j (name, manifest, definition, cursor_at, next_at)
select n.name, $4, n.definition, $5, n.next_at from n
on conflict (name) do update
   set manifest = excluded.manifest, definition = excluded.definition,
       cursor_at = case when j.definition ->> 'schedule' = excluded.definition ->> 'schedule' and j.definition ->> 'timeZone' = excluded.definition ->> 'timeZone' then j.cursor_at else excluded.cursor_at end,
       next_at = case when j.definition ->> 'schedule' = excluded.definition ->> 'schedule' and j.definition ->> 'timeZone' = excluded.definition ->> 'timeZone' then j.next_at else excluded.next_at end;

-- cron: next due
select (extract(epoch from min(next_at) - coalesce($1::timestamptz, now())) * 1000)::float8 as ms from waybill.cron_jobs;

-- cron: take due jobs
with due as (
  select name, manifest, definition, cursor_at from waybill.cron_jobs where next_at <= coalesce($2::timestamptz, now())
   order by next_at limit $1 for update skip locked)
select name, manifest, definition, cursor_at as "cursorAt", coalesce($2::timestamptz, now()) as now,
       definition ->> 'overlap' = 'skip' and exists (
         select from waybill.cron_runs r where r.name = due.name and r.status = 'dispatched') as busy,
       (select jsonb_build_object('since', extract(epoch from d.since) * 1000, 'until', extract(epoch from d.until) * 1000)
          from waybill.cron_disabled d where d.name = due.name) as disabled
  from due;

-- cron: record runs
with t as (
  select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::int[], $8::timestamptz[],
                       $9::timestamptz[], $10::text[], $11::uuid[])
    as t(id, name, action, source, scheduled_at, reason, skipped_ticks, catch_up_from, catch_up_to, manifest, message_id)),
recorded as (
  insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, status, finished_at, reason, skipped_ticks,
                                 catch_up_from, catch_up_to, manifest, message_id)
  select id, name, action, source, scheduled_at, coalesce($12::timestamptz, now()),
         case when reason is null then 'dispatched' else 'skipped' end,
         case when reason is not null then coalesce($12::timestamptz, now()) end,
         reason, skipped_ticks, catch_up_from, catch_up_to, manifest, message_id from t
  on conflict (name, scheduled_at) where source = 'cron' do nothing
  returning id, message_id),
messages as (insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, revision)
  select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
         n.delivery_key, n.parent_id, n.request_id, n.traceparent, 0 from unnest($13::text::uuid[], $14::text::text[], $15::text::text[], $16::text::text[], $17::text::jsonb[], $18::text::int[], $19::text::int[], $20::text::timestamptz[], $21::text::text[], $22::text::uuid[], $23::text::text[], $24::text::text[]) as n(id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent) join recorded r on r.message_id = n.id)
select id from recorded;

-- cron: move on
update waybill.cron_jobs j set cursor_at = coalesce(n.cursor_at, j.cursor_at), next_at = n.next_at
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as n(name, cursor_at, next_at) where j.name = n.name;

-- cron: find tick
select id::text as id, manifest, source, (date_part('epoch', scheduled_at) * 1000000)::int8::text as scheduled, (date_part('epoch', dispatched_at) * 1000000)::int8::text as dispatched,
     (date_part('epoch', catch_up_from) * 1000000)::int8::text as since, (date_part('epoch', catch_up_to) * 1000000)::int8::text as until, skipped_ticks::text as skipped
from waybill.cron_runs where message_id = $1;

-- cron: succeed
update waybill.cron_runs set status = 'succeeded', finished_at = clock_timestamp(), result = $2::text::jsonb
where id = $1 and status = 'dispatched';

-- cron: skip stale
with stale as (
  select message_id from waybill.cron_runs r
   where status = 'dispatched' and dispatched_at < now() - $1 * interval '1 millisecond'
     and exists (select from waybill.cron_loaded l where l.delivers and l.seen_at > now() - $2 * interval '1 millisecond')
     and not exists (select from waybill.cron_loaded l
                      where l.delivers and l.manifest = r.manifest and l.seen_at > now() - $1 * interval '1 millisecond')
   limit $3),
ended as (
  update waybill.outbox_messages m set revision = m.revision + 1, status = 'cancelled', cancelled_at = now(), available_at = coalesce(m.order_due, m.available_at), order_due = null, last_error = 'stale_manifest: no worker has the manifest of this tick', ends = m.ends + 1
   where m.id = any(array(select message_id from stale)) and m.status = any ('{pending,failed}')
  returning m.id, m.kind, m.queue, m.ends),
audited as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, 'cancelled', count(*), count(*) filter (where ends = 1) from ended group by 1, 2, 3)
update waybill.cron_runs set status = 'skipped', reason = 'stale_manifest', finished_at = now()
 where message_id = any(array(select id from ended)) and status = 'dispatched'
returning id;

-- cron: end orphans
with orphans as (
  select r.id, case when not exists (select from waybill.cron_jobs j where j.name = r.name) then 'unknown_job'
                    when r.scheduled_at > now() + interval '1 day' then 'future_tick' end as reason
    from waybill.cron_runs r
   where r.status = 'dispatched' and r.dispatched_at < now() - interval '1 minute'
     and not exists (select from waybill.outbox_messages m where m.id = r.message_id)
   limit $1 for update skip locked)
update waybill.cron_runs r
   set status = case when o.reason is null then 'failed' else 'skipped' end, reason = o.reason, finished_at = now(),
       error = case when o.reason is null then 'message_missing: the message of this run is gone' end
  from orphans o where r.id = o.id
returning r.id;

-- cron: bring back
update waybill.cron_jobs set cursor_at = now(), next_at = now() where cursor_at > now() + interval '1 day';

-- cron: tell
with told as (
  update waybill.cron_runs set told = true where id in (
    select id from waybill.cron_runs where not told and status <> 'dispatched' order by id limit $1 for update skip locked)
  returning name, status)
select name, status, count(*)::int as n from told group by name, status;

-- cron: look
select exists (select from waybill.cron_runs
                where status = 'dispatched' and dispatched_at < now() - $2 * interval '1 millisecond') as lapsed,
       (select true from waybill.cron_runs where not told and status <> 'dispatched' order by id limit 1) is not null as untold,
       exists (select from waybill.cron_jobs where cursor_at > now() + interval '1 day') as ahead,
       (select true 
   from waybill.cron_runs
   where id < (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid
     and finished_at < now() - $1 * interval '1 millisecond' order by id limit 1) is not null as "pastRuns",
       exists (select 
from waybill.cron_manifests where status <> 'active' and staged_at < now() - $1 * interval '1 millisecond'
   and hash not in (select manifest from waybill.cron_loaded)) as "pastManifests";

-- cron: prune manifests
delete
from waybill.cron_manifests where status <> 'active' and staged_at < now() - $1 * interval '1 millisecond'
   and hash not in (select manifest from waybill.cron_loaded);

-- cron: prune runs
delete from waybill.cron_runs where id in (select id
   from waybill.cron_runs
   where id < (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid
     and finished_at < now() - $1 * interval '1 millisecond' order by id limit $2 for update skip locked)
returning id;

-- known queues
with recursive
place as (
  (select queue, priority from waybill.outbox_messages where relayed_at is null and cancelled_at is null order by queue desc, priority desc limit 1)
  union all
  select next.queue, next.priority from place cross join lateral (
    select w.queue, w.priority from waybill.outbox_messages w
     where w.relayed_at is null and w.cancelled_at is null and (w.queue, w.priority) < (place.queue, place.priority)
     order by w.queue desc, w.priority desc limit 1) next), 
known as (
  select name from waybill.queues union select queue from place
  union select queue from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null) select name from known order by name;

-- scrape: counters
with counted as (select * from waybill.outbox_audit where outcome = any('{delivered,retried,dead,released}')),
queues as (select distinct queue from counted order by queue limit 100),
ends as (
  select kind, case when queue in (select queue from queues) then queue else 'other' end as queue, outcome, sum(n) as n
    from counted group by 1, 2, 3)
select name, labels, sum(value)::float8 as value from (
  select name, labels, value from waybill.counters
  union all
  select 'waybill_deliveries_total', jsonb_build_object('kind', kind, 'queue', queue, 'outcome', outcome), n from ends) c
 group by name, labels order by name, labels;

-- fold audit counters
with old as (
  delete from waybill.outbox_audit where id = any(array(
    select id from waybill.outbox_audit order by id limit $1 for update skip locked)) returning *),
folded as (
  insert into waybill.outbox_audit (kind, queue, outcome, n, recorded)
  select kind, queue, outcome, sum(n), sum(recorded) from old group by 1, 2, 3)
select count(*)::int as n from old;

-- scrape: processes that stand still
select r as role, (select count(*)::int from waybill.processes where (not heartbeat_at > now() - interval '6 seconds' and heartbeat_at > now() - interval '600 seconds') and r = any(case role when 'all' then '{web,relay,email,jobs,scheduler}'::text[] else string_to_array(role, '+') end)) as silent,
     (select count(*)::int from waybill.processes where (stalled <> '{}' and heartbeat_at > now() - interval '6 seconds') and r = any(case role when 'all' then '{web,relay,email,jobs,scheduler}'::text[] else string_to_array(role, '+') end)) as stalled
from unnest('{web,relay,email,jobs,scheduler}'::text[]) r;

-- health: processes that stand still
select id, role, case when (not heartbeat_at > now() - interval '6 seconds' and heartbeat_at > now() - interval '600 seconds') then '{}' else stalled end as stalled,
      (date_part('epoch', now()) - date_part('epoch', heartbeat_at)) as "silentSeconds"
 from waybill.processes
where (not heartbeat_at > now() - interval '6 seconds' and heartbeat_at > now() - interval '600 seconds') or (stalled <> '{}' and heartbeat_at > now() - interval '6 seconds') order by role, id limit 20;

-- scrape: gauges
with shut as (select queue, group_key from waybill.queue_groups where (paused_at is not null or parked_at is not null or failing_since is not null) and ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or coalesce(held_until > now(), false))),
live as (
  select kind, name, status, queue, available_at, claimed_at, ends, true as waiting,
         group_key is not null and (queue, group_key) in (select queue, group_key from shut) as shut from waybill.outbox_messages where relayed_at is null and cancelled_at is null
  union all
  select kind, name, status, queue, available_at, claimed_at, ends, false, false from waybill.outbox_messages
   where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null),
grouped as (
  select kind, name, status, queue, waiting, count(*) as n, count(*) filter (where ends = 0) as unended,
         count(*) filter (where available_at <= now()) as due, count(*) filter (where available_at <= now() and not shut) as open,
         min(available_at) filter (where available_at <= now() and not shut and isfinite(available_at) and status <> 'sending') as oldest,
         min(claimed_at) filter (where status = 'sending' and isfinite(claimed_at)) as running_since
    from live group by kind, name, status, queue, waiting),
by_queue as (
  select queue as name, coalesce(sum(due) filter (where waiting), 0) as waiting,
         coalesce(sum(open) filter (where waiting and queue <> all(array(select name from waybill.queues where ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now())))), 0) as ready,
         extract(epoch from now() - min(oldest)) as age, extract(epoch from now() - min(running_since)) as running
    from grouped group by queue),
alive as (
  select version, queues, slots, busy, prefetched, settling, isolating, workers,
         case role when 'all' then '{web,relay,email,jobs,scheduler}'::text[] else string_to_array(role, '+') end as roles
    from waybill.processes where heartbeat_at > now() - interval '30 seconds'),
gates as (
  select name, (paused_at is not null and coalesce(paused_until > now(), true)) as paused, parked_at is not null as parked, coalesce(held_until > now(), false) as held
    from waybill.queues),
worked as (
  select queue as name, sum(slots) as slots, sum(busy) as busy, sum(prefetched) as prefetched, sum(settling) as settling,
         sum(isolating) as isolating, count(*) as workers
    from (
  select p.isolating, w.* from alive p cross join lateral (
    select p.queues, p.slots, p.busy, p.prefetched, p.settling where p.workers = '[]'
    union all
    select * from jsonb_to_recordset(p.workers) as x(queues text[], slots int, busy int, prefetched int, settling int)) w) w, unnest(queues) as queue group by queue),
blocked as (
  select queue as name, count(distinct order_key) as keys from (
    select queue, order_key from waybill.outbox_messages where dead_at is not null and order_due is not null order by dead_at limit 1000) b
   group by queue),
names as (
  select name from (select name from gates union select name from by_queue union select name from worked union select name from blocked) k
    left join gates g using (name) left join by_queue b using (name)
   order by (g.paused or g.parked or g.held) desc nulls last, b.age desc nulls last, name limit 100)
select
  (select json_agg(json_build_object('labels', json_build_object('kind', k, 'status', s), 'value',
            coalesce((select sum(n) from grouped where kind = k and status = s), 0)))
     from unnest('{email,event,listener,job,action}'::text[]) k, unnest('{pending,sending,failed}'::text[]) s) as messages,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.age, 0)) order by n.name)
    from names n left join by_queue x on x.name = n.name) as oldest,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.running, 0)) order by n.name)
    from names n left join by_queue x on x.name = n.name) as running_oldest,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.waiting, 0)) order by n.name)
    from names n left join by_queue x on x.name = n.name) as waiting,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.ready, 0)) order by n.name)
    from names n left join by_queue x on x.name = n.name) as ready,
  (select json_agg(json_build_object('labels', json_build_object('kind', kind, 'name', name), 'value', n))
     from (select kind, name, sum(n) as n from grouped group by kind, name order by sum(n) desc, kind, name limit 20) x) as names,
  (select json_agg(json_build_object('labels', json_build_object('kind', k), 'value',
            coalesce((select sum(recorded) from waybill.outbox_audit where kind = k), 0)
            + coalesce((select sum(unended) from grouped where kind = k), 0)))
     from unnest('{email,event,listener,job,action}'::text[]) k) as recorded,
  (select json_agg(json_build_object('labels', json_build_object('role', r), 'value',
            (select count(*) from alive where r = any(roles))))
     from unnest('{web,relay,email,jobs,scheduler}'::text[]) r) as processes,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.slots, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as slots,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.busy, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as busy,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.prefetched, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as prefetched,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.settling, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as settling,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.isolating, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as isolating,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.workers, 0)) order by n.name)
    from names n left join worked x on x.name = n.name) as workers,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.recommended, 0)) order by n.name)
    from names n left join (select queue as name, recommended from waybill.autoscale) x on x.name = n.name) as recommended,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.paused, false)::int) order by n.name)
    from names n left join gates x on x.name = n.name) as paused,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.parked, false)::int) order by n.name)
    from names n left join gates x on x.name = n.name) as parked,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.held, false)::int) order by n.name)
    from names n left join gates x on x.name = n.name) as held,
  (select json_agg(json_build_object('labels', json_build_object('provider', p.name), 'value', (p.parked_at is not null)::int) order by p.name)
    from (select * from waybill.email_providers order by position, name limit 100) p) as provider_parked,
  (select json_agg(json_build_object('labels', json_build_object('provider', p.name), 'value', 
(select count(*)::int from waybill.email_handovers h join waybill.outbox_messages m on m.id = h.message_id
  where h.provider = p.name and h.waits_since is not null and m.status in ('pending', 'failed'))) order by p.name)
    from (select * from waybill.email_providers order by position, name limit 100) p) as provider_waiting,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.keys, 0)) order by n.name)
    from names n left join blocked x on x.name = n.name) as blocked,
  (select json_agg(json_build_object('labels', json_build_object('queue', n.name), 'value', coalesce(x.n, 0)) order by n.name)
    from names n left join (select queue as name, count(*) as n from waybill.queue_groups where parked_at is not null group by queue) x on x.name = n.name) as groups_parked,
  (select json_agg(json_build_object('labels', json_build_object('queue', q.name, 'limit', l.name), 'value', l.value) order by q.name, l.name)
     from waybill.queues q join names n using (name) cross join lateral (values ('concurrency', (q.limits ->> 'concurrency')::float8), ('concurrency_per_process', (q.limits ->> 'concurrencyPerProcess')::float8), ('rate', (q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8), ('group_concurrency', (q.limits ->> 'groupConcurrency')::float8), ('group_rate', (q.limits -> 'groupRate' ->> 'limit')::float8 * 1000 / (q.limits -> 'groupRate' ->> 'ms')::float8)) l(name, value) where l.value is not null) as limits,
  (select json_agg(json_build_object('labels', json_build_object('queue', q.name, 'limit', l.name),
                                     'value', coalesce((q.limited_seconds ->> l.name)::numeric, 0)) order by q.name, l.name)
     from waybill.queues q join names n using (name) cross join lateral (values
            ('concurrency', q.limits -> 'concurrency'), ('rate', q.limits -> 'rate'), ('ramp', 'null'),
            ('group', coalesce(nullif(q.limits -> 'groupConcurrency', 'null'), q.limits -> 'groupRate'))) l(name, set)
    where l.set <> 'null' or q.limited_seconds ? l.name) as limited,
  (select json_agg(json_build_object('labels', json_build_object('job', name), 'value', greatest(0, extract(epoch from now() - next_at))))
     from (select name, next_at from waybill.cron_jobs order by next_at limit 100) x) as overdue,
  (select json_agg(json_build_object('labels', json_build_object(), 'value', age))
     from (select coalesce(extract(epoch from max(now() - xact_start)), 0) as age from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()) x) as transaction,
  (select json_agg(json_build_object('labels', json_build_object('version', version), 'value', 1))
     from (select distinct version from alive order by version limit 100) x) as versions;

-- autoscale: turn
with turn as (
  update waybill.autoscale_turn set at = now()
   where one and one in (select one from waybill.autoscale_turn where at <= now() - interval '9 seconds' for update skip locked)
  returning at, capacities)
select at::text as turn, extract(epoch from now())::float8 as now, capacities,
       (select coalesce(json_agg(e), '[]') from (select queue, state from waybill.autoscale) e) as earlier,
       (select coalesce(json_agg(q), '[]') from (
with alive as (
  select p.isolating, w.* from (select * from waybill.processes where heartbeat_at > now() - interval '30 seconds' and slots > 0) p cross join lateral (
    select p.queues, p.slots, p.busy, p.prefetched, p.settling where p.workers = '[]'
    union all
    select * from jsonb_to_recordset(p.workers) as x(queues text[], slots int, busy int, prefetched int, settling int)) w),
worked as (
  select queue, count(*)::int as workers, avg(slots)::float8 as slots from alive, unnest(queues) as queue group by queue),
ended as (
  select queue, sum(n) as n, sum(seconds) as seconds from (
    select labels ->> 'queue' as queue, case when name = 'waybill_deliveries_total' then value else 0 end as n,
           case when name = 'waybill_slot_seconds_total' then value else 0 end as seconds
      from waybill.counters where name in ('waybill_deliveries_total', 'waybill_slot_seconds_total')
    union all
    select queue, n, 0 from waybill.outbox_audit where outcome = any('{delivered,retried,dead,released}')) c group by queue),
flight as (
  select queue, count(*) filter (where status = 'sending')::int as sending, count(*) filter (where status <> 'sending')::int as ready,
         coalesce(avg(extract(epoch from now() - claimed_at)) filter (where status = 'sending'), 0)::float8 as age
    from waybill.outbox_messages
   where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null group by queue),
names as (select name from waybill.queues union select queue from flight union select queue from worked order by 1 limit 100)
select n.name as queue,
       (select coalesce(json_agg(distinct other), '[]') from alive a, unnest(a.queues) as other
         where n.name = any(a.queues) and other <> n.name) as "sharedWith", extract(epoch from now())::float8 as at,
       coalesce(f.ready, 0) + (
         select count(*)::int from (
           select from waybill.outbox_messages m
            where m.relayed_at is null and m.cancelled_at is null and m.queue = n.name and m.available_at <= now()
            limit 100000) waiting) as backlog,
       coalesce(f.sending, 0) as sending, coalesce(f.age, 0) as "sendingAge", coalesce(e.n, 0) as ended, coalesce(e.seconds, 0) as "slotSeconds",
       coalesce(w.workers, 0) as workers, coalesce(w.slots, $1) as "slotsPerWorker", ((q.limits -> 'rate' ->> 'limit')::float8 * 1000 / (q.limits -> 'rate' ->> 'ms')::float8) as rate,
       (q.limits ->> 'concurrency')::int as concurrency, (q.limits ->> 'concurrencyPerProcess')::int as "perProcess",
       (q.limits ->> 'groupConcurrency')::int as "perGroup",
       case when q.limits -> 'groupConcurrency' <> 'null' then (
         select count(distinct coalesce(group_key, ''))::int from (
           select group_key from waybill.outbox_messages m
            where m.relayed_at is null and m.cancelled_at is null and m.queue = n.name and m.available_at <= now()
            limit 100000) waiting) end as groups,
       coalesce((q.paused_at is not null and coalesce(q.paused_until > now(), true)) or q.parked_at is not null or q.held_until > now(), false) as closed
  from names n left join flight f on f.queue = n.name left join ended e on e.queue = n.name
  left join worked w on w.queue = n.name left join waybill.queues q on q.name = n.name
 order by n.name) q) as looks,
       (select row_to_json(c) from (
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
       (select coalesce(sum(numbackends), 0)::int from pg_stat_database) as used, -- told to every role, unlike pg_stat_activity
       (select count(*)::int from waybill.processes where heartbeat_at > now() - interval '30 seconds' and slots > 0) as workers) c) as connections
  from turn;

-- autoscale: decide
with turn as (update waybill.autoscale_turn set capacities = $6 where one and at = $7::timestamptz returning one),
gone as (
  delete from waybill.autoscale
   where decided_at < now() - interval '1 day' and not queue = any($1::text[]) and exists (select from turn))
insert into waybill.autoscale (queue, recommended, exact, facts, state)
select n.* from unnest($1::text[], $2::int[], $3::float8[], $4::jsonb[], $5::jsonb[]) n cross join turn
on conflict (queue) do update set recommended = excluded.recommended, exact = excluded.exact, facts = excluded.facts,
  state = excluded.state, decided_at = now();

-- autoscale: read
select queue, recommended, facts, decided_at as "decidedAt", (date_part('epoch', now()) - date_part('epoch', decided_at)) as "ageSeconds"
from waybill.autoscale order by queue;

-- what has changed
select (select m.id::text from waybill.outbox_messages m order by m.id desc limit 1) as recorded,
(select max(id)::text from waybill.outbox_audit) as ended,
(select format('%s %s', count(*), max(claimed_at)) from (
   select claimed_at from waybill.outbox_messages where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null limit 1000) f) as running,
(select max(id)::text from waybill.outbox_notes) as notes,
(select md5(string_agg(format('%s %s %s %s %s %s', name, paused_at, paused_until, parked_at, held_until, limits), ' ' order by name)) from waybill.queues)
|| (select coalesce(md5(string_agg(format('%s %s', name, parked_at), ' ' order by name)), '') from waybill.email_providers) as queues,
(select max(id)::text from waybill.audit) as acts,
(select format('%s %s', count(*), max(worked_at)) from waybill.bulk_acts where state = 'running') as bulk,
(select r.id::text from waybill.cron_runs r order by r.id desc limit 1) as cron,
(select format('%s %s %s %s', count(*), max(started_at), max(quiet_at), count(*) filter (where heartbeat_at > now() - interval '6 seconds')) from waybill.processes) as processes,
(select coalesce(array_agg(id), '{}') from waybill.ended_sessions where id = any($1::text[])) as "endedSessions";

-- register queues
with registered as (
  insert into waybill.queues as q (name, app_limits) select n.name, n.limits::jsonb from unnest($1::text[], $2::text[]) as n(name, limits)
  on conflict (name) do update set app_limits = excluded.app_limits where q.app_limits <> excluded.app_limits
  returning name)
select name, pg_notify('waybill_outbox', name) from registered;

-- pause
insert into waybill.queues as q (name, paused_at, paused_by, paused_reason, paused_until)
select $1, now(), $2, $3, e.at from (select coalesce($4::text::timestamptz, now() + ($5::float8 * interval '1 millisecond')) as at) e
 where e.at is null or e.at > now()
on conflict (name) do update
   set paused_at = case when (q.paused_at is not null and coalesce(q.paused_until > now(), true)) then q.paused_at else now() end, paused_by = excluded.paused_by,
       paused_reason = excluded.paused_reason, paused_until = excluded.paused_until
returning name;

-- resume
with providers as (
  update waybill.email_providers
     set parked_at = null, parked_by = null, parked_reason = null, reopened_at = clock_timestamp(), failures = 0
   where $1 = 'email' and parked_at is not null),
resumed as (
  update waybill.queues
     set paused_at = null, paused_by = null, paused_reason = null, paused_until = null, held_at = null, held_until = null, held_reason = null,
         ramp_from = case when ((paused_at is not null and coalesce(paused_until > now(), true)) or parked_at is not null or held_until > now()) then now() else ramp_from end,
         reopened_at = case when parked_at is null then reopened_at else now() end, parked_at = null, parked_by = null,
         parked_reason = null, probe_at = null, probe_ms = null, probe_message = null,
         probed = '{}', maybe_own = '{}'
   where name = $1 returning name)
select name, pg_notify('waybill_outbox', name) from resumed;

-- park
insert into waybill.queues as q (name, parked_at, parked_by, parked_reason, probe_at, probe_ms, probed, maybe_own)
values ($1, now(), $3, $2, now() + case when $5 then 1000 else 5000 end * interval '1 millisecond', 5000, array[$4::uuid],
        case when $5 then array[$4::uuid] else '{}' end)
on conflict (name) do update
   set parked_at = excluded.parked_at, parked_by = excluded.parked_by, parked_reason = excluded.parked_reason, probes = 0, probe_message = null,
       probe_ms = case when $5 then 1000 when q.reopened_at > now() - interval '2 minutes' then least(60000, greatest(5000, 2 * coalesce(q.probe_ms, 2500))) else 5000 end, probe_at = now() + case when $5 then 1000 when q.reopened_at > now() - interval '2 minutes' then least(60000, greatest(5000, 2 * coalesce(q.probe_ms, 2500))) else 5000 end * interval '1 millisecond',
       probed = excluded.probed, maybe_own = case when $5 then (array_remove(q.maybe_own, $4::uuid) || $4::uuid)[cardinality(q.maybe_own) - 198 :] else q.maybe_own end
 where q.parked_at is null
   and not exists (select from waybill.outbox_messages m where m.id = $4::uuid and m.claimed_at < q.reopened_at)
returning name;

-- blame
update waybill.queues q
  set probed = (array_remove(q.probed, $2::uuid) || $2::uuid)[cardinality(q.probed) - 198 :], maybe_own = case when $3 then (array_remove(q.maybe_own, $2::uuid) || $2::uuid)[cardinality(q.maybe_own) - 198 :] else q.maybe_own end
where name = $1 and parked_at is not null;

-- is own fault
select from waybill.queues where name = $1 and parked_at is null and $2::uuid = any(maybe_own);

-- hold
insert into waybill.queues as q (name, held_at, held_until, held_reason) values ($1, now(), now() + $2 * interval '1 millisecond', $3)
on conflict (name) do update
   set held_at = case when q.held_until > now() then q.held_at else now() end,
       held_until = greatest(q.held_until, excluded.held_until), held_reason = excluded.held_reason
returning held_at = now() as fresh;

-- probe failed
update waybill.queues q
   set probes = probes + 1, probe_ms = case when $4 and $2::uuid <> all(q.probed) and cardinality(q.probed) < 50 then 1000 else least(60000, greatest(5000, 2 * coalesce(q.probe_ms, 2500))) end, probe_at = now() + case when $4 and $2::uuid <> all(q.probed) and cardinality(q.probed) < 50 then 1000 else least(60000, greatest(5000, 2 * coalesce(q.probe_ms, 2500))) end * interval '1 millisecond', parked_reason = $3, probe_message = null,
       probed = (array_remove(q.probed, $2::uuid) || $2::uuid)[cardinality(q.probed) - 198 :], maybe_own = case when $4 then (array_remove(q.maybe_own, $2::uuid) || $2::uuid)[cardinality(q.maybe_own) - 198 :] else q.maybe_own end
 where name = $1 and parked_at is not null and probe_message = $2::uuid
returning probe_ms as "nextMs";

-- probe given back
update waybill.queues set probe_at = now(), probe_message = null
where name = $1 and parked_at is not null and probe_message = $2;

-- reopen
with reopened as (
  update waybill.queues
     set parked_at = null, parked_by = null, parked_reason = null, reopened_at = now(), ramp_from = now(), probe_message = null,
         probed = '{}', maybe_own = array_remove(maybe_own, $2::uuid)
   where name = $1 and parked_at is not null and probe_message = $2::uuid
  returning name)
select name, pg_notify('waybill_outbox', name) from reopened;

-- make permits
insert into waybill.queue_permits (queue, n) select $1, n from generate_series(1, $2::int) n on conflict do nothing;

-- lock permits
with clock as materialized (select coalesce($5::timestamptz, clock_timestamp()) as at),
last as materialized (select max(slot_at) as slot_at from waybill.queue_permits where queue = $1 and n <= $2)
select p.n, (extract(epoch from p.free_at - clock.at) * 1000)::float8 as "freeIn", (extract(epoch from last.slot_at - clock.at) * 1000)::float8 as "lastIn", clock.at::text as at
  from waybill.queue_permits p cross join clock cross join last
 where p.queue = $1 and p.n <= $2 and p.free_at <= clock.at + $3 * interval '1 millisecond'
 order by p.free_at, p.n limit $4 for update of p skip locked;

-- next permit
select (extract(epoch from min(least(free_at, slot_at + $3 * interval '1 millisecond')) - clock_timestamp()) * 1000)::float8 as ms
from waybill.queue_permits where queue = $1 and n <= $2;

-- book permits
update waybill.queue_permits p
   set slot_at = $4::timestamptz + b.ms * interval '1 millisecond', free_at = $4::timestamptz + (b.ms + $5) * interval '1 millisecond'
  from unnest($2::int[], $3::float8[]) as b(n, ms) where p.queue = $1 and p.n = b.n
returning p.n, p.slot_at::text as "slotAt";

-- return permits
update waybill.queue_permits p set free_at = p.slot_at + r.ms * interval '1 millisecond'
 from unnest($2::int[], $3::timestamptz[], $4::float8[]) as r(n, slot_at, ms)
where p.queue = $1 and p.n = r.n and p.slot_at = r.slot_at;
