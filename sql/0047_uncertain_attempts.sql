-- Attempts of which nobody knows whether the message was delivered: the provider's answer was lost, or the lease ran out. Few, and looked
-- for by operators (`waybill outbox list --outcome ambiguous`).

create index outbox_attempts_uncertain on waybill.outbox_attempts (message_id) where outcome in ('ambiguous', 'expired');
