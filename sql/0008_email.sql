-- Email: the date, hashes of recipients, suppressed addresses, the batches of a provider, several providers, and the development inbox.

-- Emails are found by their recipients through keyed hashes, so that no index holds a readable address. The key is random and made once for each
-- database. Only the owner needs to read it: the functions below run with the owner's rights.
create table waybill.email_hash_key (
  one boolean primary key default true check (one),
  key bytea   not null check (octet_length(key) = 32)
);

insert into waybill.email_hash_key (key) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) on conflict do nothing;

-- The hash of one address, in lower case; of `Ann <ann@example.com>` that of what is in the brackets. Null without a text. It is a hash of a hash: a
-- sealed email brings the inner ones, because the database never reads its addresses (src/outbox/sealing.ts).
create function waybill.email_hash(mailbox text) returns bytea language plpgsql stable strict security definer set search_path = pg_catalog, pg_temp as $$
begin
  return (select substr(sha256(k.key || sha256(convert_to(lower(trim(coalesce(substring(mailbox from '<([^<>]*)>\s*$'), mailbox))), 'UTF8'))), 1, 16)
            from waybill.email_hash_key k);
end
$$;

-- The hashes of an email's recipients; of a repeated email (src/email/email.ts) those of its list; of a sealed one those that it brings. Null when it
-- names nobody. It does not call the function above, because each call costs some microseconds. It is in plpgsql, so that the connection keeps its plan.
create function waybill.email_hashes(payload jsonb) returns bytea[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  if payload ? '$sealed' then
    return (
      select array_agg(substr(sha256(k.key || decode(r.inner_hash, 'hex')), 1, 16))
        from waybill.email_hash_key k
        cross join jsonb_array_elements_text(case when jsonb_typeof(payload #> '{$sealed,recipients}') = 'array' then payload #> '{$sealed,recipients}'
                                                  else '[]' end) as r(inner_hash)
       where r.inner_hash ~ '^[0-9a-f]{64}$');
  end if;
  return (
    select array_agg(substr(sha256(k.key || sha256(convert_to(lower(trim(coalesce(substring(a.mailbox from '<([^<>]*)>\s*$'), a.mailbox))), 'UTF8'))), 1, 16))
      from waybill.email_hash_key k
      cross join unnest(array[payload -> 'to', payload -> 'cc', payload -> 'bcc', payload -> 'recipients']) as f(field)
      cross join jsonb_array_elements(case jsonb_typeof(f.field) when 'array' then f.field when 'string' then jsonb_build_array(f.field)
                                        when 'object' then jsonb_build_array(f.field) else '[]' end) as e(item)
      cross join lateral (select case jsonb_typeof(e.item) when 'string' then e.item #>> '{}' when 'object' then e.item ->> 'address' end as mailbox) a
     where a.mailbox is not null);
end
$$;

-- What an email's row gets when it is recorded, by one trigger: each condition of a trigger costs every message some microseconds.
-- A delayed email gets the time at which it becomes due as its date. The date is the same on every attempt, but available_at moves with each retry.
-- The engine writes the date into the payload itself; this is for other rows, such as those of waybill.enqueue.
-- An email to one recipient, as the engine stores it, takes a shorter way to its hash: 6 instead of 32 microseconds. The row keeps no unkeyed hash.
create function waybill.outbox_prepare_email() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  sole text := new.payload #>> '{to,0,address}';
begin
  if new.available_at > new.created_at and isfinite(new.available_at) and jsonb_typeof(new.payload) = 'object' and not new.payload ? 'date' then
    new.payload := new.payload || jsonb_build_object('date', to_char(new.available_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
  end if;
  if sole not like '%<%' and new.payload #> '{to,1}' is null and not new.payload ?| '{cc,bcc,recipients}' then
    new.recipient_hashes := array[substr(sha256((select k.key from waybill.email_hash_key k) || sha256(convert_to(lower(trim(sole)), 'UTF8'))), 1, 16)];
  else
    new.recipient_hashes := waybill.email_hashes(new.payload);
    if new.payload ? '$sealed' then
      new.payload := new.payload #- '{$sealed,recipients}';
    end if;
  end if;
  return new;
end
$$;

create trigger outbox_email before insert on waybill.outbox_messages
  for each row when (new.kind = 'email') execute function waybill.outbox_prepare_email();

-- A payload that is replaced or erased has other recipients; a sealed one that brings no hashes keeps those of its row. This trigger runs after the
-- update: with one before it, Postgres would lock each row once more that a claim or a settlement updates.
create function waybill.outbox_rehash_recipients() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if new.payload ? '$sealed' and not coalesce(new.payload -> '$sealed' ? 'recipients', false) then
    return null;
  end if;
  update waybill.outbox_messages m
     set recipient_hashes = waybill.email_hashes(new.payload), revision = m.revision + 1,
         payload = case when m.payload ? '$sealed' then m.payload #- '{$sealed,recipients}' else m.payload end
   where m.id = new.id and (m.payload ? '$sealed' or m.recipient_hashes is distinct from waybill.email_hashes(new.payload));
  return null;
end
$$;

create trigger outbox_readdressed after update of payload on waybill.outbox_messages
  for each row when (new.kind = 'email' and new.payload is distinct from old.payload) execute function waybill.outbox_rehash_recipients();

create index outbox_recipients on waybill.outbox_messages using gin (recipient_hashes) where recipient_hashes is not null;

-- Addresses that get no more mail: mailboxes that do not exist, people who complained, and addresses that an operator added.
create table waybill.email_suppressions (
  address   text        primary key, -- of an erased person: a hash (waybill.erased_address)
  reason    text        not null,
  since     timestamptz not null default now(),
  erased_at timestamptz,
  constraint email_suppressions_lower check (address = lower(address))
);

create index email_suppressions_erased on waybill.email_suppressions (erased_at) where erased_at is not null;

-- The key under which each email goes to a provider that takes several in one request. It is written before the request, so that the next attempt
-- repeats the same request.
create table waybill.email_batches (
  message_id  uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  provider    text        not null, -- that which has it
  batch       uuid,                 -- the key; the message's own id if it went alone; null: the provider took nothing, it may join another batch
  position    int         not null,
  size        int         not null, -- of the whole batch; when rows of it are gone, the batch cannot be repeated
  recipients  text[]      not null,
  asked_again boolean     not null default false, -- in the row at position 0: the batch was requested a second time
  answer      jsonb,                -- the provider's, for an attempt that may have missed it: {"receipt": …}; a null receipt: refused
  planned_at  timestamptz not null default now()
);

create index email_batches_batch on waybill.email_batches (batch);

-- The providers of WAYBILL_EMAIL_PROVIDER, where it names several (docs/failover.md). The first that is not parked gets the mail. One is parked for the
-- whole fleet until a probe succeeds.
create table waybill.email_providers (
  name          text        primary key,
  position      int,                      -- in the list of the process that started last; null: parked by a process with another list
  listed_at     timestamptz,              -- since when a list of several names it
  failures      int         not null default 0, -- in a row, of all workers: it could not be reached, did not answer, or failed itself

  parked_at     timestamptz,
  parked_by     text,
  parked_reason text,
  probe_at      timestamptz,              -- no probe before this time
  probe_ms      float8,                   -- the interval before it, in ms; kept after reopening, in case it is parked again soon
  probes        int         not null default 0, -- failed probes since it was parked
  reopened_at   timestamptz,              -- the failure of a handover that began before this time does not count

  constraint email_providers_parked check (parked_at is null or probe_at is not null),
  constraint email_providers_finite check (probe_ms < 'Infinity'), -- NaN sorts above every number
  constraint email_providers_times check (
    isfinite(coalesce(parked_at, now())) and isfinite(coalesce(probe_at, now())) and isfinite(coalesce(reopened_at, now()))
    and isfinite(coalesce(listed_at, now())))
);

-- Which of several providers may have an email. It is written before each handover, so it is known after a lost answer and after the death of the
-- worker, and no other provider sends the email then.
create table waybill.email_handovers (
  message_id  uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  provider    text,                       -- null: none has it, for certain
  begun_at    timestamptz not null default clock_timestamp(), -- of the last handover
  waits_since timestamptz,                -- it waits for its provider, which is parked
  constraint email_handovers_times check (isfinite(begun_at) and isfinite(coalesce(waits_since, begun_at)))
);

create index email_handovers_waiting on waybill.email_handovers (provider) where waits_since is not null;

-- The development inbox: emails of the provider `inbox`, which stores them instead of sending them.
create table waybill.inbox_emails (
  message_id uuid        primary key references waybill.outbox_messages (id) on delete cascade,
  number     bigint      generated always as identity, -- the order in which they were stored; the list follows it
  sender     text        not null,
  recipients text[]      not null,
  subject    text        not null,
  html       text,
  text       text,
  source     bytea       not null, -- bytes, because an attachment that is itself an email may be in any encoding
  stored_at  timestamptz not null default clock_timestamp(),
  constraint inbox_number unique (number)
);
