-- Recording without a counter: what is recorded is counted when it is claimed or cancelled for the first time, a batch at once, and until
-- then it counts by being there. An enqueue pays nothing for the books (of its 514 µs of server time they were 70, bench -- record), and
-- the books still tell what nobody can account for: a row that goes uncounted, whoever takes it away, is counted as it goes.

-- All that is there was counted when it was recorded.
alter table waybill.outbox_messages add column if not exists counted boolean not null default true;
alter table waybill.outbox_messages alter column counted set default false;

-- The rules of new rows, as before (0010_rules.sql).
create or replace function waybill.outbox_check_recorded() returns trigger language plpgsql as $$
begin
  if (new.kind = any ('{email,event,listener,job,action}')
      and new.max_attempts >= 1 and new.attempts >= 0 and new.attempts <= new.max_attempts and new.expirations >= 0
      and isfinite(new.available_at) and isfinite(new.created_at)
      and num_nonnulls(new.claim_token, new.claimed_by, new.claimed_at, new.claimed_until) = case new.status when 'sending' then 4 else 0 end
      and num_nonnulls(new.delivered_at, new.dead_at, new.cancelled_at) <= 1
      and new.status = case when new.delivered_at is not null then 'delivered' when new.dead_at is not null then 'dead'
                            when new.cancelled_at is not null then 'cancelled'
                            when new.claim_token is not null and new.relayed_at is not null and isfinite(new.claimed_until) then 'sending'
                            when new.status = 'failed' then 'failed' else 'pending' end) is not true then
    perform waybill.outbox_refuse_row(new.id);
  end if;
  return null;
end
$$;

drop trigger if exists outbox_recorded on waybill.outbox_messages;

create trigger outbox_recorded after insert on waybill.outbox_messages
  for each row execute function waybill.outbox_check_recorded();

drop function if exists waybill.outbox_count_recorded();

create or replace function waybill.outbox_count_deleted() returns trigger language plpgsql as $$
begin
  insert into waybill.outbox_ledger (kind, recorded) values (old.kind, 1);
  return null;
end
$$;

drop trigger if exists outbox_deleted on waybill.outbox_messages;

create trigger outbox_deleted after delete on waybill.outbox_messages
  for each row when (not old.counted) execute function waybill.outbox_count_deleted();

create or replace function waybill.outbox_count_truncated() returns trigger language plpgsql as $$
begin
  insert into waybill.outbox_ledger (kind, recorded)
    select kind, count(*) from waybill.outbox_messages where not counted group by kind;
  return null;
end
$$;

drop trigger if exists outbox_truncated on waybill.outbox_messages;

create trigger outbox_truncated before truncate on waybill.outbox_messages
  for each statement execute function waybill.outbox_count_truncated();
