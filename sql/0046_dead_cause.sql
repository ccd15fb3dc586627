-- Why a message is dead: recipient (refused for good by its server), permanent (no retry can mend it), exhausted (its attempts were used up),
-- expired (its lease ran out in its last attempt). Null for what was dead before, or was ended by hand.

alter table waybill.outbox_messages add column if not exists dead_cause text;
