-- The rules of a row without their price for every enqueue: Postgres reads a CHECK anew for each statement, which was a third of what a
-- message cost a transaction with one of them (npm run bench -- record). What the engine writes it vouches for: it inserts a row with the
-- revision 0 and counts the revision up with each change. A row that somebody else wrote or changed is checked by a trigger.

alter table waybill.outbox_messages add column if not exists revision int not null default 0;
alter table waybill.outbox_messages alter column revision drop default;
alter table waybill.outbox_messages drop constraint if exists outbox_rules;

-- No attempts below zero or above their limit; times are finite; the times tell the state, with at most one end; a sending row has token,
-- owner and deadline, no other row has any of them.
create or replace function waybill.outbox_check_row() returns trigger language plpgsql as $$
begin
  if (new.kind = any ('{email,event,listener,job,action}')
      and new.max_attempts >= 1 and new.attempts >= 0 and new.attempts <= new.max_attempts and new.expirations >= 0
      and isfinite(new.available_at) and isfinite(new.created_at)
      and num_nonnulls(new.claim_token, new.claimed_by, new.claimed_at, new.claimed_until) = case new.status when 'sending' then 4 else 0 end
      and num_nonnulls(new.delivered_at, new.dead_at, new.cancelled_at) <= 1
      and new.status = case when new.delivered_at is not null then 'delivered' when new.dead_at is not null then 'dead'
                            when new.cancelled_at is not null then 'cancelled'
                            when new.claim_token is not null and new.relayed_at is not null and isfinite(new.claimed_until) then 'sending'
                            when new.status = 'failed' then 'failed' else 'pending' end) is false then
    raise exception 'the message % would break the rules of its states (docs/states.md)', new.id
      using errcode = 'check_violation', constraint = 'outbox_rules', schema = 'waybill', table = 'outbox_messages';
  end if;
  new.revision := coalesce(new.revision, 0);
  return new;
end
$$;

drop trigger if exists outbox_recorded on waybill.outbox_messages;

create trigger outbox_recorded before insert on waybill.outbox_messages
  for each row when (new.revision is distinct from 0) execute function waybill.outbox_check_row();

drop trigger if exists outbox_changed on waybill.outbox_messages;

create trigger outbox_changed after update on waybill.outbox_messages
  for each row when (new.revision = old.revision) execute function waybill.outbox_check_row();

-- One message with a delivery key (sql/0009_recording.sql), vouched for.
create or replace function waybill.outbox_record(uuid, text, text, text, jsonb, int, int, timestamptz, text, uuid, text, text)
  returns boolean language plpgsql as $$
begin
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent, revision)
  select $1, $2, $3, $4, $5, $6, $7, coalesce($8, now()), $9, $10, $11, $12, 0
   where not exists (select from waybill.outbox_keys k where k.kind = $2 and k.name = $3 and k.delivery_key = $9)
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing;
  return found;
end
$$;
