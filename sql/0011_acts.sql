-- What people and their programs do to the fleet: each act once, in the transaction that does it (src/operate/acting.ts). Append-only: rows are
-- never changed, and deleted only by the pruning of the relay after WAYBILL_AUDIT_RETENTION. Beside it, `outbox_audit` counts what the engine does.

create table waybill.audit (
  id         bigint      generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  by         text        not null, -- the person as named by the caller, or the name of the key
  key        text,                 -- the name of the admin key; null: the command line, by the rights of its database user
  via        text        not null, -- http, cli, console
  act        text        not null, -- message.retry, queue.pause …
  target     text,                 -- id of the message, name of the queue …
  filter     jsonb,                -- of an act on several messages
  count      int,                  -- how many messages it changed
  detail     jsonb,
  reason     text,
  request_id text
);

create index audit_target on waybill.audit (target, id) where target is not null;

create function waybill.audit_refuse() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' and current_setting('waybill.prune_audit', true) = 'on' then
    return old;
  end if;
  raise exception 'waybill.audit is append-only: % is not allowed', lower(tg_op) using errcode = '42501';
end
$$;

create trigger audit_append_only before update or delete on waybill.audit for each row execute function waybill.audit_refuse();
create trigger audit_no_truncate before truncate on waybill.audit for each statement execute function waybill.audit_refuse();
