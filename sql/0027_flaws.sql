-- What no row may hold, in one place: the trigger for rows that somebody writes by hand asks here, `waybill outbox verify` names rows by it, and
-- a relay that meets such a row sets it to dead with these words (src/outbox/unfit.ts). A row comes past the trigger with a forged revision,
-- with triggers turned off, or from an older deploy.
-- `return` binds the names when the function is made (Postgres 14), so that a caller's search_path changes nothing.

create or replace function waybill.outbox_flaw(m waybill.outbox_messages) returns text language sql immutable
return case
  when m.kind <> all ('{email,event,listener,job,action}') then format('unknown_kind: %L is no kind of message', left(m.kind, 80))
  when m.name ~ '[[:cntrl:][:space:]]' or length(m.name) not between 1 and 200 then
    'name_invalid: a name has 1 to 200 characters without spaces'
  when m.queue !~ '^[A-Za-z0-9._-]{1,100}$' then
    format('queue_invalid: the queue %L must have 1 to 100 letters, digits, ''.'', ''_'' or ''-''', left(m.queue, 80))
  when m.priority not between -1000 and 1000 then format('priority_invalid: the priority %s is not from -1000 to 1000', m.priority)
  when m.max_attempts not between 1 and 1000 then format('max_attempts_invalid: max_attempts is %s, not from 1 to 1000', m.max_attempts)
  when m.attempts < 0 or m.attempts > m.max_attempts or m.expirations not between 0 and 1000000 then
    format('attempts_invalid: %s attempts of %s, %s of them expired', m.attempts, m.max_attempts, m.expirations)
  when m.delivery_key ~ '[[:cntrl:]]' or length(m.delivery_key) not between 1 and 255 then
    'delivery_key_invalid: a delivery key has 1 to 255 printable characters'
  when m.request_id ~ '[[:cntrl:]]' or length(m.request_id) not between 1 and 200 then
    'request_id_invalid: a request id has 1 to 200 printable characters'
  when m.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
    'traceparent_invalid: a traceparent looks like 00-<32 hex digits>-<16 hex digits>-<2 hex digits>'
  when m.revision not between 0 and 1000000000 then format('revision_invalid: the revision %s is not one that the engine counts', m.revision)
  -- Every other time is set by the engine and lies near to now; what is far away keeps a row from ever being looked at again.
  when m.available_at not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
    or m.created_at not between '0001-01-01 00:00:00+00' and '9999-12-31 23:59:59.999999+00'
    or not isfinite(coalesce(m.relayed_at, m.created_at)) or not isfinite(coalesce(m.claimed_at, m.created_at))
    or not isfinite(coalesce(m.claimed_until, m.created_at)) or not isfinite(coalesce(m.delivered_at, m.created_at))
    or not isfinite(coalesce(m.dead_at, m.created_at)) or not isfinite(coalesce(m.cancelled_at, m.created_at)) then
    'invalid_time: every time must be finite, available_at and created_at not beyond the year 9999'
  -- The times tell the state, with at most one end; a sending row has token, owner and deadline, no other row has any of them.
  when num_nonnulls(m.claim_token, m.claimed_by, m.claimed_at, m.claimed_until) <> case m.status when 'sending' then 4 else 0 end
    or num_nonnulls(m.delivered_at, m.dead_at, m.cancelled_at) > 1
    or m.status <> case when m.delivered_at is not null then 'delivered' when m.dead_at is not null then 'dead'
                        when m.cancelled_at is not null then 'cancelled'
                        when m.claim_token is not null and m.relayed_at is not null then 'sending'
                        when m.status = 'failed' then 'failed' else 'pending' end then
    format('state_invalid: the columns of the row do not go with its status %L (docs/states.md)', left(m.status, 40))
end;

create or replace function waybill.outbox_check_row() returns trigger language plpgsql as $$
declare
  flaw text := waybill.outbox_flaw(new);
begin
  if flaw is not null then
    raise exception 'the message % cannot be stored like this: %', new.id, flaw
      using errcode = 'check_violation', constraint = 'outbox_rules', schema = 'waybill', table = 'outbox_messages', hint = 'docs/states.md';
  end if;
  new.revision := coalesce(new.revision, 0);
  return new;
end
$$;

-- As in 0024_search_path.sql.
alter function waybill.outbox_check_row() set search_path = pg_catalog, pg_temp;
