// The messages that an export takes: those that wait, in the order of their ids, page by page. It locks a page where the messages are to leave.

import type { Executor } from '../db/executor.ts';
import { momentText } from '../db/moment.ts';
import { WaybillError } from '../errors.ts';
import { endMessages, transitions } from '../message/transitions.ts';
import type { Kind, Status } from '../message/message.ts';
import { isSealed, unseal, type PayloadKeys } from '../message/seal.ts';
import { ownDue, whereOf, type MessageFilter } from '../operate/filter.ts';

/** A message that waits, with its payload as it is stored or opened. */
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

const columns = `id::text as id, kind, name, queue, payload, status, attempts, max_attempts as "maxAttempts", priority,
    ${momentText(ownDue)} as "availableAt", coalesce(delivery_key, shared_key) as "deliveryKey", group_key as "group", order_key as "orderKey",
    coalesce(tags, '{}') as tags, request_id as "requestId", ${momentText('created_at')} as "createdAt"`;

/** @param after only messages behind this id */
export async function readWaiting(
  db: Executor,
  filter: MessageFilter,
  {
    after,
    limit,
    lock,
  }: { readonly after: string | undefined; readonly limit: number; readonly lock: boolean },
): Promise<Waiting[]> {
  const { conditions, values } = whereOf(filter);
  if (after !== undefined) conditions.push(`id > $${values.push(after)}::uuid`);
  const sql = `select ${columns} from waybill.outbox_messages where ${conditions.join(' and ')}
    order by id limit $${values.push(limit)}${lock ? ' for update skip locked' : ''}`;
  return (await db.executeSql<Waiting>(sql, values)).rows;
}

export async function countWaiting(db: Executor, filter: MessageFilter): Promise<number> {
  const { conditions, values } = whereOf(filter);
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${conditions.join(' and ')}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]?.n ?? 0;
}

/** @throws WaybillError `payload_key_missing`, `payload_unreadable` */
export function opened(message: Waiting, keys: PayloadKeys): Waiting {
  return isSealed(message.payload)
    ? { ...message, payload: unseal(message.payload, message, keys) }
    : message;
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
