// The step *record*: messages become rows in the caller's transaction (invariant A). One statement for one as for many.

import { v7 } from 'uuid';
import type { Executor } from '../db/executor.ts';
import { WaybillError } from './errors.ts';
import type { CheckedMessage, Enqueued, Status } from './message.ts';

const columns = `id, kind, name, queue, payload, max_attempts, priority, available_at, delivery_key, parent_id, request_id, traceparent`;

/** `n(…)`: the rows to record, from the arrays that `recordValues` makes, numbered from `$first`. */
export function newRows(first: number): string {
  const types = [
    'uuid',
    'text',
    'text',
    'text',
    'jsonb',
    'int',
    'int',
    'timestamptz',
    'text',
    'uuid',
    'text',
    'text',
  ];
  return `unnest(${types.map((type, i) => `$${first + i}::${type}[]`).join(', ')}) as n(${columns})`;
}

/** `insert … select` of those rows; a message without availableAt is due at once, by the database's clock (invariant H). */
export function insertRows(from: string): string {
  return `insert into waybill.outbox_messages (${columns})
    select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
           n.delivery_key, n.parent_id, n.request_id, n.traceparent from ${from}`;
}

const free = `dead_at is null and cancelled_at is null`;

export const recordSql = `${insertRows(newRows(1))}
  where n.delivery_key is null or not exists (
    select from waybill.outbox_keys k where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key)
  on conflict (kind, name, delivery_key) where delivery_key is not null and ${free} do nothing
  returning id`;

export const holdersSql = `
  select m.id, m.status, m.kind, m.name, m.delivery_key
    from unnest($1::text[], $2::text[], $3::text[]) as n(kind, name, delivery_key)
    join waybill.outbox_messages m on m.kind = n.kind and m.name = n.name and m.delivery_key = n.delivery_key
   where m.delivery_key is not null and m.dead_at is null and m.cancelled_at is null
  union all
  select k.message_id, 'delivered', k.kind, k.name, k.delivery_key
    from unnest($1::text[], $2::text[], $3::text[]) as n(kind, name, delivery_key)
    join waybill.outbox_keys k on k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key`;

export function recordValues(messages: readonly (CheckedMessage & { readonly id: string })[]): unknown[] {
  const column = <T>(of: (m: CheckedMessage & { readonly id: string }) => T): T[] => messages.map(of);
  return [
    column((m) => m.id),
    column((m) => m.kind),
    column((m) => m.name),
    column((m) => m.queue),
    column((m) => m.json),
    column((m) => m.maxAttempts),
    column((m) => m.priority),
    column((m) => m.availableAt ?? null),
    column((m) => m.deliveryKey ?? null),
    column((m) => m.parentId ?? null),
    column((m) => m.requestId ?? null),
    column((m) => m.traceparent ?? null),
  ];
}

export const newId = (): string => v7();

/** Records what no standing delivery key forbids; gives an answer for each message, in their order. */
export async function record(db: Executor, messages: readonly CheckedMessage[]): Promise<Enqueued[]> {
  const rows = messages.map((message) => ({ ...message, id: newId() }));
  const answers = new Map<string, Enqueued>();
  // A holder may die or be cancelled between the two statements; then the next round records the message.
  for (let round = 0; answers.size < rows.length; round++) {
    if (round === 3)
      throw new WaybillError(
        'delivery_key_contended',
        'the delivery key changed hands three times while the message was being recorded; try again',
      );
    const open = rows.filter((row) => !answers.has(row.id));
    const { rows: fresh } = await db.executeSql<{ id: string }>(recordSql, recordValues(open));
    for (const { id } of fresh) answers.set(id, { id, status: 'pending', duplicate: false });
    const held = open.filter((row) => !answers.has(row.id));
    if (held.length > 0) await answerHeld(db, held, answers);
  }
  return rows.map((row) => answers.get(row.id)!);
}

type Holder = { id: string; status: Status; kind: string; name: string; delivery_key: string };

async function answerHeld(
  db: Executor,
  held: readonly (CheckedMessage & { id: string })[],
  answers: Map<string, Enqueued>,
): Promise<void> {
  const keyOf = (kind: string, name: string, key: string): string => JSON.stringify([kind, name, key]);
  const values = [held.map((m) => m.kind), held.map((m) => m.name), held.map((m) => m.deliveryKey)];
  const { rows } = await db.executeSql<Holder>(holdersSql, values);
  const holders = new Map(rows.map((row) => [keyOf(row.kind, row.name, row.delivery_key), row]));
  for (const message of held) {
    const holder = holders.get(keyOf(message.kind, message.name, message.deliveryKey!));
    if (holder) answers.set(message.id, { id: holder.id, status: holder.status, duplicate: true });
  }
}
