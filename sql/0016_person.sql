-- Erasing a person (src/operate/person.ts, docs/personal-data.md).

-- The text that stands where an erased text was: a hash under the key of sql/0008_email.sql, so that equal texts stay equal, and nobody can compute
-- which text it was. It has 39 characters, and fits wherever a key does.
create function waybill.erased_text(whole text) returns text language plpgsql stable strict security definer set search_path = pg_catalog, pg_temp as $$
begin
  return (select 'erased-' || encode(substr(sha256(k.key || sha256(convert_to(whole, 'UTF8'))), 1, 16), 'hex') from waybill.email_hash_key k);
end
$$;

-- The same for an address, in every form in which it is found: the hash of sql/0008_email.sql.
create function waybill.erased_address(mailbox text) returns text language plpgsql stable strict security definer set search_path = pg_catalog, pg_temp as $$
begin
  return 'erased-' || encode(waybill.email_hash(mailbox), 'hex');
end
$$;
