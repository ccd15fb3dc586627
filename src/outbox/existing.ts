// The existing message of a delivery key that is taken: in the outbox, or pruned.

import type { Executor } from '../db/executor.ts';
import { arrayText, textOf } from '../db/values.ts';
import type { CheckedMessage, Enqueued, Status } from '../message/message.ts';

export const existingSql = `
  select m.id::text as id, m.status, m.kind, m.name, m.delivery_key as key
    from unnest($1::text::text[], $2::text::text[], $3::text::text[]) as n(kind, name, delivery_key)
    join waybill.outbox_messages m on m.kind = n.kind and m.name = n.name and m.delivery_key = n.delivery_key
   where m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null
  union all
  select k.message_id::text, coalesce(m.status, 'delivered'), k.kind, k.name, k.delivery_key
    from unnest($1::text::text[], $2::text::text[], $3::text::text[]) as n(kind, name, delivery_key)
    join waybill.outbox_keys k on k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key
    left join waybill.outbox_messages m on m.id = k.message_id
   where m.dead_at is null and m.cancelled_at is null`;

type Keyed = Pick<CheckedMessage, 'kind' | 'name' | 'deliveryKey'>;

type Existing = { id: string; status: Status; kind: string; name: string; key: string };

/** Finds the existing message for each message whose key is taken; no answer when it has gone meanwhile. */
export async function findExisting(
  db: Executor,
  held: readonly (Keyed & { id: string })[],
): Promise<Map<string, Enqueued>> {
  const keyOf = (kind: string, name: string, key: string): string => JSON.stringify([kind, name, key]);
  const column = (of: (m: Keyed) => string | undefined): string => arrayText(held.map(of));
  const values = [column((m) => m.kind), column((m) => m.name), column((m) => m.deliveryKey)];
  const { rows } = await db.executeSql<Existing>(existingSql, values);
  const existing = new Map(
    rows.map((row) => [keyOf(textOf(row.kind), textOf(row.name), textOf(row.key)), row]),
  );
  const answers = new Map<string, Enqueued>();
  for (const message of held) {
    const found = existing.get(keyOf(message.kind, message.name, message.deliveryKey!));
    if (found)
      answers.set(message.id, {
        id: textOf(found.id),
        status: textOf(found.status) as Status,
        duplicate: true,
      });
  }
  return answers;
}
