// The step *record*: messages become rows in the caller's transaction (invariant A). One statement records one message or many.

import type { Executor } from '../db/executor.ts';
import { arrayText, textOf, textOrNull, timeText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import { newId } from '../message/id.ts';
import type { CheckedMessage, Enqueued } from '../message/message.ts';
import { findExisting } from './existing.ts';
import { takesKey } from './waiting.ts';

const types = {
  id: 'uuid',
  kind: 'text',
  name: 'text',
  queue: 'text',
  payload: 'jsonb',
  max_attempts: 'int',
  priority: 'int',
  available_at: 'timestamptz',
  delivery_key: 'text',
  parent_id: 'uuid',
  request_id: 'text',
  traceparent: 'text',
};
/**
 * The columns of flow control, and tags, which are an array's text in an array. A batch without any has its own statement, so that its messages do
 * not pay for them.
 */
const flowTypes = { ...types, group_key: 'text', order_key: 'text', order_skips: 'boolean', tags: 'text' };
const typesOf = (flow: boolean): typeof types => (flow ? flowTypes : types);
export const columnsOf = (flow: boolean): string => Object.keys(typesOf(flow)).join(', ');

/** Number of parameters that `recordValues` fills. */
export const recordColumns = (flow: boolean): number => Object.keys(typesOf(flow)).length;

type Flow = Pick<CheckedMessage, 'group' | 'orderKey' | 'tags'>;

/** Whether a message of the batch has a group, an order key or tags. */
export function hasFlow(messages: readonly Flow[]): boolean {
  return messages.some(
    ({ group, orderKey, tags }) => group !== undefined || orderKey !== undefined || tags !== undefined,
  );
}

/** `n(…)`: the rows to record, from the arrays of `recordValues`, numbered from `$first`. Every driver can send text. */
export function newRows(first: number, flow: boolean): string {
  return `unnest(${arraysOf(first, flow)}) as n(${columnsOf(flow)})`;
}

export function arraysOf(first: number, flow: boolean): string {
  return Object.values(typesOf(flow))
    .map((type, i) => `$${first + i}::text::${type}[]`)
    .join(', ');
}

/**
 * `insert … select` of these rows. A message without availableAt is due at once, by the database's clock (invariant H). Messages with an order key
 * are inserted in the order in which they were given, which is that of their ids (invariant K).
 */
export function insertRows(from: string, flow: boolean): string {
  return `insert into waybill.outbox_messages (${columnsOf(flow)}, revision)
    select n.id, n.kind, n.name, n.queue, n.payload, n.max_attempts, n.priority, coalesce(n.available_at, now()),
           n.delivery_key, n.parent_id, n.request_id, n.traceparent${flow ? ', n.group_key, n.order_key, n.order_skips, n.tags::text[]' : ''}, 0 from ${from}${flow ? ' order by n.id' : ''}`;
}

const unkept = `where n.delivery_key is null or not exists (
    select from waybill.outbox_keys k where k.kind = n.kind and k.name = n.name and k.delivery_key = n.delivery_key and ${takesKey})`;

const recordText = (flow: boolean): string => `${insertRows(`${newRows(1, flow)}\n  ${unkept}`, flow)}
  on conflict (kind, name, delivery_key) where delivery_key is not null and dead_at is null and cancelled_at is null do nothing
  returning id::text as id`;

export const recordSql = recordText(false);
export const recordFlowSql = recordText(true);

type NewRow = CheckedMessage & { readonly id: string };

/** Whether the death of the message leaves its order key open. */
const skips = ({ orderKey, onDead }: NewRow): true | undefined =>
  orderKey !== undefined && onDead === 'skip' ? true : undefined;

const tagsText = ({ tags }: NewRow): string | undefined => tags && arrayText(tags);

/** In the order of `flowTypes`. */
function rowValues(row: NewRow): (string | number | boolean | null)[] {
  return [
    row.id,
    row.kind,
    row.name,
    row.queue,
    row.json,
    row.maxAttempts,
    row.priority,
    timeText(row.availableAt),
    row.deliveryKey ?? null,
    row.parentId ?? null,
    row.requestId ?? null,
    row.traceparent ?? null,
    row.group ?? null,
    row.orderKey ?? null,
    skips(row) ?? null,
    tagsText(row) ?? null,
  ];
}

export function recordValues(messages: readonly NewRow[], flow: boolean): string[] {
  const rows = messages.map(rowValues);
  return Object.keys(typesOf(flow)).map((_, i) => arrayText(rows.map((values) => values[i])));
}

/** Records one message with only its own columns, at half the cost of the statement for many. With a key, a function keeps the plan. */
export function recordOne(row: NewRow): { readonly sql: string; readonly values: unknown[] } {
  if (row.deliveryKey === undefined) return insertOne(row);
  const flow = hasFlow([row]);
  const values = rowValues(row).slice(0, recordColumns(flow));
  return { sql: flow ? recordKeyedFlowSql : recordKeyedSql, values: values.map(textOrNull) };
}

const recordKeyedText = (flow: boolean): string =>
  `select $1::text as id where waybill.outbox_record(${Object.values(typesOf(flow))
    .map((type, i) => `$${i + 1}::text::${type}`)
    .join(', ')}${flow ? '[]' : ''})`;
const recordKeyedSql = recordKeyedText(false);
const recordKeyedFlowSql = recordKeyedText(true);

/** Columns that most messages leave at their default. Statements are cached by the columns present, so that their plans are found. */
const optional = [
  'priority',
  'available_at',
  'parent_id',
  'request_id',
  'traceparent',
  'group_key',
  'order_key',
  'order_skips',
  'tags',
];
const insertTexts: string[] = [];

function insertOne(row: NewRow): { readonly sql: string; readonly values: unknown[] } {
  const values: unknown[] = [row.id, row.kind, row.name, row.queue, row.json, row.maxAttempts];
  const given = [
    row.priority || undefined,
    row.availableAt && timeText(row.availableAt),
    row.parentId,
    row.requestId,
    row.traceparent,
    row.group,
    row.orderKey,
    skips(row),
    tagsText(row),
  ];
  let which = 0;
  for (let i = 0; i < given.length; i++) {
    if (given[i] === undefined) continue;
    which |= 1 << i;
    values.push(given[i]);
  }
  return { sql: (insertTexts[which] ??= insertText(which)), values };
}

/** Drivers serialise JSON and dates differently unless the parameter is text. */
const casts: Readonly<Record<string, string>> = {
  payload: '::text::jsonb',
  available_at: '::text::timestamptz',
  order_skips: '::text::boolean',
  tags: '::text::text[]',
};

function insertText(which: number): string {
  const some = ['id', 'kind', 'name', 'queue', 'payload', 'max_attempts'];
  const names = [...some, ...optional.filter((_, i) => which & (1 << i))];
  const parameters = names.map((name, i) => `$${i + 1}${casts[name] ?? ''}`);
  return `insert into waybill.outbox_messages (${names.join(', ')}, revision) values (${parameters.join(', ')}, 0)`;
}

/** Records every message whose delivery key is free. Returns one answer for each message, in order. */
export async function record(db: Executor, messages: readonly CheckedMessage[]): Promise<Enqueued[]> {
  const [only] = messages;
  if (only && messages.length === 1 && only.deliveryKey === undefined) return [await recordFree(db, only)];
  const rows = messages.map((message) => ({ ...message, id: message.id ?? newId() }));
  const answers = new Map<string, Enqueued>();
  // The existing message may become dead or cancelled between the two statements. Then the next round records this one.
  for (let round = 0; answers.size < rows.length; round++) {
    if (round === 3) contended();
    const open = rows.filter((row) => !answers.has(row.id));
    for (const id of await insert(db, open)) answers.set(id, { id, status: 'pending', duplicate: false });
    const held = open.filter((row) => !answers.has(row.id));
    if (held.length > 0) for (const [id, answer] of await findExisting(db, held)) answers.set(id, answer);
  }
  return rows.map((row) => answers.get(row.id)!);
}

export function contended(): never {
  throw new WaybillError(
    'delivery_key_contended',
    'the delivery key changed hands three times while the message was being recorded; try again',
  );
}

/** Records one message without a delivery key. */
async function recordFree(db: Executor, message: CheckedMessage): Promise<Enqueued> {
  const id = message.id ?? newId();
  const { sql, values } = recordOne({ ...message, id });
  await db.executeSql(sql, values, true);
  return { id, status: 'pending', duplicate: false };
}

/** Returns the ids of the recorded messages. */
async function insert(db: Executor, open: readonly NewRow[]): Promise<string[]> {
  const alone = open.length === 1 ? open[0] : undefined;
  const flow = hasFlow(open);
  const { sql, values } = alone
    ? recordOne(alone)
    : { sql: flow ? recordFlowSql : recordSql, values: recordValues(open, flow) };
  const { rows } = await db.executeSql<{ id: string }>(sql, values, alone !== undefined);
  return rows.map(({ id }) => textOf(id));
}
