-- Functions mean Postgres's own names, whatever the caller's search_path leads to: with `search_path = shop, pg_catalog` a function `shop.now()` or an
-- operator of that schema would come first. Setting the path costs a call a few microseconds; the one that each recording with a delivery key
-- calls names its operators instead.

alter function waybill.outbox_check_row() set search_path = pg_catalog, pg_temp;
alter function waybill.outbox_count_deleted() set search_path = pg_catalog, pg_temp;
alter function waybill.outbox_count_truncated() set search_path = pg_catalog, pg_temp;

create or replace function waybill.outbox_record(uuid, text, text, text, jsonb, int, int, timestamptz, text, uuid, text, text)
  returns boolean language plpgsql as $$
begin
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, revision)
  select $1, $2, $3, $4, $5, $6, $7, coalesce($8, pg_catalog.now()), $9, $10, $11, $12, 0
   where not exists (
     select from waybill.outbox_keys k
      where k.kind operator(pg_catalog.=) $2 and k.name operator(pg_catalog.=) $3 and k.delivery_key operator(pg_catalog.=) $9)
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
  return found;
end
$$;
