-- Claims of workers whose NOTIFY named the queue (src/outbox/hinted.ts): what has no attempt behind it is claimed straight from these queues,
-- the higher priorities of a queue first, without the relay. What it claims begins at once. A message whose lease ran out goes through the
-- relay: it may have to run alone (src/outbox/suspect.ts).
-- A function, because the connection keeps its plans: the same text sent by the worker took 0.8 ms for one message, half of it parsing and
-- planning, and takes 0.5 this way. Its plans do not follow the statistics: one that was made while the table was empty must be right for a
-- million rows. The conditions are those of src/outbox/lane.ts and src/outbox/gate.ts (a test compares what they take).
create function waybill.outbox_claim_next(queues text[], most int, above int, lease_ms float8, worker text)
  returns table (id uuid, kind text, name text, queue text, payload jsonb, attempts int, max_attempts int, priority int, claim_token uuid,
    delivery_key text, request_id text, traceparent text, created_at float8, probe boolean, lag float8)
  language plpgsql
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
#variable_conflict use_column
declare
  lane text;
  level int;
  rest int := most;
  got int;
begin
  foreach lane in array queues loop
    continue when exists (select from waybill.queues q
      where q.name = lane and (q.paused_at is not null or q.parked_at is not null or q.held_until > now()));
    level := 2147483647;
    while rest > 0 loop
      select o.priority into level from waybill.outbox_messages o
       where o.relayed_at is null and o.cancelled_at is null and o.queue = lane and o.priority < level and o.priority > above
       order by o.queue desc, o.priority desc limit 1;
      exit when not found;
      return query
        with next as (
          select o.ctid as place, o.kind, o.status, o.attempts, o.expirations, o.max_attempts, o.counted from waybill.outbox_messages o
           where o.relayed_at is null and o.cancelled_at is null and o.available_at <= now() and o.queue = lane and o.priority = level
           order by o.available_at limit rest for update skip locked),
        fresh as (
          select n.place, n.kind, n.counted from next n
           where n.attempts = 0 and n.expirations = 0 and n.attempts < n.max_attempts and n.status in ('pending', 'failed')),
        entered as (
          insert into waybill.outbox_ledger (kind, recorded)
          select f.kind, count(*) from fresh f where not f.counted group by f.kind)
        update waybill.outbox_messages m
           set status = 'sending', attempts = m.attempts + 1, claim_token = gen_random_uuid(), claimed_by = worker,
               claimed_at = now(), claimed_until = now() + lease_ms * interval '1 millisecond', relayed_at = now(), counted = true,
               prefetched = false, revision = m.revision + 1
         where m.ctid = any(array(select f.place from fresh f))
        returning m.id, m.kind, m.name, m.queue, m.payload, m.attempts, m.max_attempts, m.priority, m.claim_token,
                  m.delivery_key, m.request_id, m.traceparent, (extract(epoch from m.created_at) * 1000)::float8, false,
                  extract(epoch from now() - greatest(m.created_at, m.available_at))::float8;
      get diagnostics got = row_count;
      rest := rest - got;
    end loop;
  end loop;
end
$$;
