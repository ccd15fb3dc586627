-- Recording without a counter: what is recorded is counted when it is claimed or cancelled for the first time, a batch at once, and until
-- then it counts by being there. An enqueue pays nothing for the books (of its 514 µs of server time they were 70, bench -- record), and
-- the books still tell what nobody can account for: a row that goes uncounted, whoever takes it away, is counted as it goes.

-- All that is there was counted when it was recorded.
alter table waybill.outbox_messages add column if not exists counted boolean not null default true;
alter table waybill.outbox_messages alter column counted set default false;

-- The rules of a row, again as a CHECK: as no trigger is needed for counting any more, none is worth its price for them (34 µs of an
-- enqueue). No attempts below zero or above their limit; times are finite; the times tell the state, with at most one end; a sending row
-- has token, owner and deadline, no other row has any of them.
drop trigger if exists outbox_recorded on waybill.outbox_messages;
drop trigger if exists outbox_changed on waybill.outbox_messages;
drop function if exists waybill.outbox_count_recorded();
drop function if exists waybill.outbox_refuse_change();
drop function if exists waybill.outbox_refuse_row(uuid);

alter table waybill.outbox_messages drop constraint if exists outbox_rules;
-- Rows that are there were held to it by the triggers: they need not be read again.
alter table waybill.outbox_messages add constraint outbox_rules check (
  kind = any ('{email,event,listener,job,action}')
  and max_attempts >= 1 and attempts >= 0 and attempts <= max_attempts and expirations >= 0
  and isfinite(available_at) and isfinite(created_at)
  and num_nonnulls(claim_token, claimed_by, claimed_at, claimed_until) = case status when 'sending' then 4 else 0 end
  and num_nonnulls(delivered_at, dead_at, cancelled_at) <= 1
  and status = case when delivered_at is not null then 'delivered' when dead_at is not null then 'dead'
                    when cancelled_at is not null then 'cancelled'
                    when claim_token is not null and relayed_at is not null and isfinite(claimed_until) then 'sending'
                    when status = 'failed' then 'failed' else 'pending' end) not valid;

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
