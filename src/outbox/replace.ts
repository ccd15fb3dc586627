// Messages recorded with `onDuplicate: 'replace'` (docs/debounce.md), and the end of their older messages. waybill.outbox_replace records them. A
// message that follows one with the same key that is being sent, or waits for a retry, is held back: it is in no index of waiting messages, and a
// row of outbox_keys names it. `passKeys` ends the older message and gives its key to the newer one. It goes by state, so nothing is lost when
// a process dies in between. No settling and no claim has to look for newer messages.

import type { Executor } from '../db/executor.ts';
import { arrayText, numberOf, textOf } from '../db/values.ts';
import { newId } from '../message/id.ts';
import type { CheckedMessage, Enqueued } from '../message/message.ts';
import { endMessages, guard, transitions, updateMessages } from '../message/transitions.ts';
import { arraysOf, columnsOf, contended, record, recordColumns, recordValues } from './record.ts';
import { anyHeldBackSql, isHeldBack } from './waiting.ts';

/** Values: those of `recordValues`, then debounce and maximum wait in ms, each an array. In the order of the arrays: the last of a key wins. */
export const replaceSql = `
  select n.id::text as given, waybill.outbox_replace(
      jsonb_populate_record(null::waybill.outbox_messages, to_jsonb(n)),
      (n.debounce * interval '1 millisecond'), (n.max_wait * interval '1 millisecond'))::text as id
    from unnest(${arraysOf(1, true)}, $${recordColumns(true) + 1}::text::float8[], $${recordColumns(true) + 2}::text::float8[])
      as n(${columnsOf(true)}, debounce, max_wait)`;

/** Records messages of which some replace others. */
export async function recordReplacing(
  db: Executor,
  messages: readonly CheckedMessage[],
): Promise<Enqueued[]> {
  const rows = messages.map((message) => ({ ...message, id: message.id ?? newId() }));
  // In one order for all callers, so that two that record the same keys do not deadlock. The sort keeps the order within a key.
  const replacing = rows.filter(({ replace }) => replace !== undefined).toSorted(byKey);
  const values = [
    ...recordValues(replacing, true),
    arrayText(replacing.map(({ replace }) => replace?.debounce?.ms)),
    arrayText(replacing.map(({ replace }) => replace?.debounce?.maxWaitMs)),
  ];
  const { rows: recorded } = await db.executeSql(replaceSql, values, replacing.length === 1);
  const answers = new Map(recorded.map((row) => [textOf(row['given']), row['id']]));
  const others = await record(
    db,
    messages.filter(({ replace }) => replace === undefined),
  );
  return rows.map((row) => (row.replace === undefined ? others.shift()! : answerOf(row.id, answers)));
}

type Keyed = Pick<CheckedMessage, 'kind' | 'name' | 'deliveryKey'>;

function byKey(a: Keyed, b: Keyed): number {
  const [one, other] = [a, b].map(({ kind, name, deliveryKey }) => JSON.stringify([kind, name, deliveryKey]));
  return one! < other! ? -1 : one! > other! ? 1 : 0;
}

function answerOf(given: string, answers: ReadonlyMap<string, unknown>): Enqueued {
  const found = answers.get(given) ?? contended();
  const id = textOf(found);
  if (id === given) return { id, status: 'pending', duplicate: false };
  return { id, status: 'pending', duplicate: true, replaced: true };
}

/** The message that has the key of `k`, a row of waybill.outbox_keys. */
const hasKeyOf = (k: string): string =>
  `m.kind = ${k}.kind and m.name = ${k}.name and m.delivery_key = ${k}.delivery_key and m.delivery_key is not null
          and m.dead_at is null and m.cancelled_at is null`;

/** Held back, or ended while it was. */
const hasNoKey = 'm.shared_key is not null and m.delivered_at is null';

/**
 * Ends the older messages: one that waits is cancelled, one that was delivered passes its key on, and one that is being sent goes on. Rows that
 * the application has locked are left for the next time. Values: rows.
 */
export const endOlderSql = `
  with next as (
    select k.kind, k.name, k.delivery_key, k.message_id from waybill.outbox_keys k
     where k.pruned_at = 'infinity'
       and exists (select from waybill.outbox_messages m where ${hasKeyOf('k')} and not ${guard('expire', 'm.status')})
     limit $1 for update skip locked),
  older as (
    select o.id, o.done from next
      cross join lateral (
        select m.id from waybill.outbox_messages m where m.id = next.message_id and ${isHeldBack('m.')} for update skip locked) newer
      cross join lateral (
        select m.id, m.delivered_at is not null as done from waybill.outbox_messages m
         where ${hasKeyOf('next')} and not ${guard('expire', 'm.status')} for update skip locked) o),
  ${endMessages(
    transitions.cancel.set({ error: `'superseded: a newer message with its delivery key was recorded'` }),
    `where m.id = any(array(select id from older where not done)) and ${guard('cancel', 'm.status')}`,
    `'cancelled'`,
  )},
  passed as (
    ${updateMessages({ shared_key: 'm.delivery_key', delivery_key: 'null' })}
     where m.id = any(array(select id from older where done)))
  select count(*)::text as n from older`;

/**
 * Gives each key that is free to the message that was held back, which waits like any other from now on. It waits for no lock: the application
 * may have locked the message, and wait for the row of another key. Values: rows.
 */
export const takeFreeKeysSql = `
  with next as (
    select k.kind, k.name, k.delivery_key, k.message_id from waybill.outbox_keys k
     where k.pruned_at = 'infinity'
       and (not exists (select from waybill.outbox_messages m where ${hasKeyOf('k')})
         or not exists (select from waybill.outbox_messages m where m.id = k.message_id and ${isHeldBack('m.')}))
     limit $1 for update skip locked),
  newer as (
    select m.id from next cross join lateral (
      select m.id from waybill.outbox_messages m where m.id = next.message_id and ${hasNoKey} for update skip locked) m),
  taken as (
    delete from waybill.outbox_keys k using next n
     where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key
       and (n.message_id = any(array(select id from newer))
         or not exists (select from waybill.outbox_messages m where m.id = n.message_id and ${hasNoKey}))),
  moved as (
    ${updateMessages({
      delivery_key: 'm.shared_key',
      shared_key: 'null',
      relayed_at: 'case when m.dead_at is null and m.cancelled_at is null then null else m.relayed_at end',
    })}
     where m.id = any(array(select id from newer))
    returning m.id)
  select count(*)::text as n from moved`;

/** @returns how many messages were held back and wait like any other from now on */
export async function passKeys(db: Executor, limit: number): Promise<number> {
  const { rows } = await db.executeSql(anyHeldBackSql);
  if (rows.length === 0) return 0;
  await db.executeSql(endOlderSql, [limit]);
  return numberOf((await db.executeSql(takeFreeKeysSql, [limit])).rows[0]?.['n'] ?? 0);
}
