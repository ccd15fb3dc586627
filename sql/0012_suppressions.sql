-- Whom no mail goes to any more: mailboxes that do not exist, people who complained, and whoever an operator added.

create table waybill.email_suppressions (
  address text        primary key,
  reason  text        not null,
  since   timestamptz not null default now(),
  constraint email_suppressions_lower check (address = lower(address))
);
