-- Counting what is recorded, at less cost: nearly always the messages of one statement are of one kind, and then nothing needs grouping.

create or replace function waybill.outbox_count_recorded() returns trigger language plpgsql as $$
declare
  first_kind text;
  last_kind text;
  n bigint;
begin
  select min(kind), max(kind), count(*) into first_kind, last_kind, n from recorded;
  if first_kind = last_kind then
    insert into waybill.outbox_ledger (kind, recorded) values (first_kind, n);
  elsif n > 0 then
    insert into waybill.outbox_ledger (kind, recorded) select kind, count(*) from recorded group by kind;
  end if;
  return null;
end
$$;
