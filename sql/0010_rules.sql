-- Recording at less cost, once more. A CHECK is read anew for each statement, which a transaction with one enqueue pays whole (npm run
-- bench -- record). So new rows are checked by the trigger that counts them anyway, with expressions that the session keeps; and changes
-- by a condition that is read once for each batch.

-- The rules: no attempts below zero or above their limit; times are finite; the times tell the state, with at most one end; a sending row
-- has token, owner and deadline, no other row has any of them.
create or replace function waybill.outbox_count_recorded() returns trigger language plpgsql as $$
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
  insert into waybill.outbox_ledger (kind, recorded) values (new.kind, 1);
  return null;
end
$$;

create or replace function waybill.outbox_refuse_row(id uuid) returns void language plpgsql as $$
begin
  raise exception 'the message % would break the rules of its states (docs/states.md)', id
    using errcode = 'check_violation', constraint = 'outbox_rules', schema = 'waybill', table = 'outbox_messages';
end
$$;

create or replace function waybill.outbox_refuse_change() returns trigger language plpgsql as $$
begin
  perform waybill.outbox_refuse_row(new.id);
  return null;
end
$$;

drop trigger if exists outbox_recorded on waybill.outbox_messages;

create trigger outbox_recorded after insert on waybill.outbox_messages
  for each row execute function waybill.outbox_count_recorded();

drop trigger if exists outbox_changed on waybill.outbox_messages;

create trigger outbox_changed after update on waybill.outbox_messages
  for each row when ((new.kind = any ('{email,event,listener,job,action}')
    and new.max_attempts >= 1 and new.attempts >= 0 and new.attempts <= new.max_attempts and new.expirations >= 0
    and isfinite(new.available_at) and isfinite(new.created_at)
    and num_nonnulls(new.claim_token, new.claimed_by, new.claimed_at, new.claimed_until) = case new.status when 'sending' then 4 else 0 end
    and num_nonnulls(new.delivered_at, new.dead_at, new.cancelled_at) <= 1
    and new.status = case when new.delivered_at is not null then 'delivered' when new.dead_at is not null then 'dead'
                          when new.cancelled_at is not null then 'cancelled'
                          when new.claim_token is not null and new.relayed_at is not null and isfinite(new.claimed_until) then 'sending'
                          when new.status = 'failed' then 'failed' else 'pending' end) is not true)
  execute function waybill.outbox_refuse_change();

alter table waybill.outbox_messages drop constraint if exists outbox_values, drop constraint if exists outbox_state;

