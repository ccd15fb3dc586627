-- The date of an email that is to go out later is when it becomes available, on every attempt: available_at moves with each retry. The
-- engine writes it into the payload of what it records; for rows of others, waybill.enqueue among them, this trigger does.

create or replace function waybill.outbox_date_email() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  new.payload := new.payload || jsonb_build_object('date',
    to_char(new.available_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  return new;
end
$$;

create trigger outbox_dated before insert on waybill.outbox_messages
  for each row when (new.kind = 'email' and new.available_at > new.created_at
    and isfinite(new.available_at) and jsonb_typeof(new.payload) = 'object' and not new.payload ? 'date')
  execute function waybill.outbox_date_email();
