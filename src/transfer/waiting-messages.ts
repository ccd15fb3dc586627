// The messages that an export takes: those that wait, page by page. Those without an order key come first, by their ids; then the others, by their places.
// It locks a page where the messages are to leave.

import type { Executor } from '../db/executor.ts';
import { momentText } from '../db/moment.ts';
import { arrayText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import { endMessages, transitions } from '../message/transitions.ts';
import type { OnDead } from '../message/flow.ts';
import type { Kind, Status } from '../message/message.ts';
import { isSealed, unseal, type PayloadKeys } from '../message/seal.ts';
import { ownDue, whereOf, type MessageFilter } from '../operate/filter.ts';
import { countWithin } from './batch-bytes.ts';
import { parseKeeping } from './exact-json.ts';

/** A message that waits, with its payload as it is stored or opened. Numbers that JavaScript cannot hold keep their texts in it. */
export type Waiting = {
  readonly id: string;
  readonly kind: Kind;
  readonly name: string;
  readonly queue: string;
  readonly payload: unknown;
  readonly status: Status;
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly priority: number;
  readonly availableAt: string;
  readonly deliveryKey: string | null;
  readonly group: string | null;
  readonly orderKey: string | null;
  readonly tags: readonly string[];
  readonly requestId: string | null;
  readonly createdAt: string;
  /** Null without an order key. */
  readonly onDead: OnDead | null;
  /** Present where the payload was sealed, and was opened. */
  readonly sensitive?: true;
  readonly keep?: boolean;
};

/** The states of messages that wait. */
const waits: readonly Status[] = ['pending', 'failed'];

/** @throws WaybillError `invalid_status` for a state in which a message does not wait */
export function waitingFilter(filter: MessageFilter): MessageFilter {
  const other = filter.status?.find((status) => !waits.includes(status));
  if (other !== undefined)
    throw new WaybillError(
      'invalid_status',
      `an export is of messages that wait, which are ${waits.join(' or ')}: not ${other}`,
    );
  return { ...filter, status: filter.status ?? waits };
}

const columns = `id::text as id, kind, name, queue, payload::text as payload, status, attempts, max_attempts as "maxAttempts", priority,
    ${momentText(ownDue)} as "availableAt", coalesce(delivery_key, shared_key) as "deliveryKey", group_key as "group", order_key as "orderKey",
    coalesce(tags, '{}') as tags, request_id as "requestId", ${momentText('created_at')} as "createdAt",
    case when order_key is not null then case when order_skips then 'skip' else 'block' end end as "onDead"`;

/** Ids that are read at a time: the order of the places has no index, and each page of them sorts all that are left. */
const ahead = 10_000;

/** The ids of the messages in the order of the export. */
async function* waitingIds(db: Executor, filter: MessageFilter): AsyncGenerator<string> {
  for (const isOrdered of [false, true]) {
    let page: readonly Place[] = [];
    do {
      page = await placesAfter(db, filter, isOrdered, page.at(-1));
      for (const { id } of page) yield id;
    } while (page.length === ahead);
  }
}

/** Values: ids. The bytes of their payloads, in their order. */
const sizesSql = `
  select coalesce(octet_length(m.payload::text), 0) as bytes
    from unnest($1::text::uuid[]) with ordinality as n(id, n) left join waybill.outbox_messages m on m.id = n.id order by n.n`;

/** The ids of the next batch: at most so many, and their payloads have not too many bytes together. None: the export is over. */
export function waitingBatches(
  db: Executor,
  filter: MessageFilter,
): (most: number) => Promise<readonly string[]> {
  const all = waitingIds(db, filter);
  const known: { readonly id: string; readonly bytes: number }[] = [];
  return async (most) => {
    const ids: string[] = [];
    while (known.length + ids.length < most) {
      const { value, done } = await all.next();
      if (done === true) break;
      ids.push(value);
    }
    if (ids.length > 0) {
      const { rows } = await db.executeSql<{ bytes: number }>(sizesSql, [arrayText(ids)]);
      known.push(...ids.map((id, i) => ({ id, bytes: rows[i]!.bytes })));
    }
    const count = countWithin(known.slice(0, most).map(({ bytes }) => bytes));
    return known.splice(0, count).map(({ id }) => id);
  };
}

type Place = { readonly id: string; readonly isLate: boolean; readonly position: string };

/** A place below 0 is of a key that no commit has advanced yet (sql/0010_order.sql): it comes last, and the smallest is the newest. */
const place = `(coalesce(order_position, 0) < 0), abs(coalesce(order_position, 0)), id`;

async function placesAfter(
  db: Executor,
  filter: MessageFilter,
  isOrdered: boolean,
  after: Place | undefined,
): Promise<Place[]> {
  const { conditions, values } = whereOf(filter);
  conditions.push(`order_key is ${isOrdered ? 'not ' : ''}null`);
  const value = (given: unknown): string => `$${values.push(given)}`;
  if (after !== undefined && isOrdered)
    conditions.push(
      `(${place}) > (${value(after.isLate)}::boolean, ${value(after.position)}::text::bigint, ${value(after.id)}::uuid)`,
    );
  else if (after !== undefined) conditions.push(`id > ${value(after.id)}::uuid`);
  const sql = `select id::text as id, coalesce(order_position, 0) < 0 as "isLate", abs(coalesce(order_position, 0))::text as position
    from waybill.outbox_messages where ${conditions.join(' and ')} order by ${isOrdered ? place : 'id'} limit ${value(ahead)}`;
  return (await db.executeSql<Place>(sql, values)).rows;
}

/**
 * Those of the ids that match, in the order of the ids. With a lock, messages that others have locked are left out.
 * The rows are found by their ids alone: with the conditions of the filter, Postgres may choose a partial index, and read all of it for each id. It did
 * so on a table that was new and not analyzed (9 s for 500 of 20,000 messages).
 */
export async function readWaiting(
  db: Executor,
  filter: MessageFilter,
  { ids, lock }: { readonly ids: readonly string[]; readonly lock: boolean },
): Promise<Waiting[]> {
  const { conditions, values } = whereOf(filter);
  const value = (given: unknown): string => `$${values.push(given)}`;
  const sql = `
    with page as materialized (
      select * from waybill.outbox_messages where id = any(${value(arrayText(ids))}::text::uuid[]) and status = any(${value(waits)}::text[])
      ${lock ? 'for update skip locked' : ''})
    select ${columns} from page where ${conditions.join(' and ')}`;
  const { rows } = await db.executeSql<Waiting & { readonly payload: string }>(sql, values);
  const found = new Map(rows.map((row) => [row.id, { ...row, payload: parseKeeping(row.payload) }]));
  return ids.flatMap((id) => found.get(id) ?? []);
}

export async function countWaiting(db: Executor, filter: MessageFilter): Promise<number> {
  const { conditions, values } = whereOf(filter);
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${conditions.join(' and ')}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]?.n ?? 0;
}

/** @throws WaybillError `payload_key_missing`, `payload_unreadable` */
export function opened(message: Waiting, keys: PayloadKeys): Waiting {
  const { payload } = message;
  if (!isSealed(payload)) return message;
  const keep = payload.$sealed.keep !== false;
  return { ...message, payload: unseal(payload, message, keys), sensitive: true, keep };
}

/** Values: ids, what the note of each says. The messages are cancelled, as those are that a person stops. */
export const endExportedSql = `
  with ${endMessages(transitions.cancel.set(), `where m.id = any($1::uuid[])`, `'cancelled'`)},
  noted as (
    insert into waybill.outbox_notes (message_id, type, detail)
    select id, 'exported', n.note from ended join unnest($1::uuid[], $2::text[]) as n(message_id, note) on n.message_id = id)
  select id::text as id from ended`;

/** Ends messages that are elsewhere from this transaction on. @param tx the transaction that locked them */
export async function endExported(
  tx: Executor,
  ended: readonly { readonly id: string; readonly note: string }[],
): Promise<void> {
  if (ended.length === 0) return;
  await tx.executeSql(endExportedSql, [ended.map(({ id }) => id), ended.map(({ note }) => note)]);
}
