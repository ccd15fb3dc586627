-- What a run of cron learns of its message's end, without a price for the others: Postgres reads a trigger's condition anew for each statement
-- that it may concern, and this one concerned each claim and each settlement (some 30 of the 280 µs of a claim of one message). An end, and what an
-- operator takes back of it, is a change of one of these times; the rest of the condition stands in the function.

create or replace function waybill.cron_end_run() returns trigger language plpgsql as $$
begin
  if new.status is not distinct from old.status then
    return null;
  elsif new.status = 'pending' and old.status in ('dead', 'cancelled') then
    update waybill.cron_runs set status = 'dispatched', finished_at = null, reason = null, error = null, told = false
     where message_id = new.id and status in ('failed', 'skipped');
  elsif new.status in ('delivered', 'dead', 'cancelled') then
    update waybill.cron_runs
       set status = case new.status when 'delivered' then 'succeeded' when 'dead' then 'failed' else 'skipped' end,
           finished_at = clock_timestamp(),
           error = case when new.status = 'dead' then new.last_error end,
           reason = case when new.status = 'cancelled' then 'cancelled' end
     where message_id = new.id and status = 'dispatched';
  end if;
  return null;
end
$$;

drop trigger if exists outbox_ends_run on waybill.outbox_messages;

create trigger outbox_ends_run after update of delivered_at, dead_at, cancelled_at on waybill.outbox_messages
  for each row when (new.kind = 'action') execute function waybill.cron_end_run();
