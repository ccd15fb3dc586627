-- Searches by what few messages have (src/operate/search.ts). They are functions because the planner cannot know whether many messages have a tag or
-- none: among millions it would read the newest ones until it found enough, or the whole table. Here it may only use the index. Each returns at
-- most as many ids as its caller takes, in no order, with the caller's rights.

create function waybill.search_tags(wanted text[], most int) returns setof uuid
  language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select m.id from waybill.outbox_messages m where m.tags @> wanted limit most
$$;

create function waybill.search_recipients(mailboxes text[], most int) returns setof uuid
  language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select m.id from waybill.outbox_messages m
   where m.recipient_hashes && array(select waybill.email_hash(a) from unnest(mailboxes) a) limit most
$$;

-- Keys from `lowest` to below `beyond`.
create function waybill.search_keys(lowest text, beyond text, most int) returns setof uuid
  language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select f.id from (
    select m.id from waybill.outbox_messages m
     where m.delivery_key >= lowest and m.delivery_key < beyond and m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null
    union all
    select m.id from waybill.outbox_messages m
     where coalesce(m.delivery_key, m.shared_key) >= lowest and coalesce(m.delivery_key, m.shared_key) < beyond
       and (m.shared_key is not null or (m.delivery_key is not null and (m.dead_at is not null or m.cancelled_at is not null)))) f
   limit most
$$;
