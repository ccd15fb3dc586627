// What a message must fulfil beside its state, so that a person may retry it: it has its content, and its delivery key is free.

import { takesKey } from '../outbox/waiting.ts';

// A scalar subselect is looked up for each row; Postgres would turn `not exists` into a join, for which it may read the whole table.

/** A message that was cancelled while it waited for an older one with its key has the key in shared_key, until the sweep (src/outbox/replace.ts). */
export const ownKey = 'coalesce(m.delivery_key, m.shared_key)';

/** The key of a delivered message that was pruned is still taken, and so is that of a message that is held back. Condition on a row `m` of messages. */
export const keyIsFree = `(${ownKey} is null or (
  select true from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = ${ownKey}
     and ${takesKey}) is null)`;

/** No other message has the key. Condition on a row `m` of dead or cancelled messages. */
export const keyStandsAlone = `(${ownKey} is null or (
  select true from waybill.outbox_messages o where o.kind = m.kind and o.name = m.name and o.delivery_key = ${ownKey}
     and o.delivery_key is not null and o.dead_at is null and o.cancelled_at is null) is null)`;

/** Of an erased message nothing is left to deliver (src/operate/erase.ts). Condition on a row `m` of messages. */
export const isErased = `exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased')`;
