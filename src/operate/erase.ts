// Erases the content of one message: its payload, and each text that a delivery or a report left with it. The row, its times and its counts stay.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { endMessages, guard, isAllowed, transitions, updateMessages } from '../message/transitions.ts';
import { cleanError } from '../redaction/redact.ts';
import { isErased } from './free-key.ts';
import { cancelMessage } from './operate.ts';
import { checkId, notFound } from './read.ts';

export type Erasure = {
  readonly id: string;
  /** Before it was erased. */
  readonly status: Status;
  /** It waited, so it is cancelled first. */
  readonly cancelled: boolean;
  /** How many attempts and notes lose their texts. */
  readonly attempts: number;
  readonly notes: number;
  /** Its mail in the development inbox is deleted. */
  readonly inbox: boolean;
  readonly dryRun: boolean;
};

/** Locks the message. */
const lookSql = `
  select status, ${isErased} as erased,
         (select count(*)::int from waybill.outbox_attempts a where a.message_id = m.id and num_nonnulls(a.error, a.stack) > 0) as attempts,
         (select count(*)::int from waybill.outbox_notes n where n.message_id = m.id and num_nonnulls(n.recipient, n.detail, n.reference) > 0) as notes,
         exists (select from waybill.inbox_emails i where i.message_id = m.id) as inbox
    from waybill.outbox_messages m where id = $1 for update of m`;

/** Values: ids, who and why. A provider's reference may name the recipient, so it goes too. */
export const eraseSql = `
  with erased as (
    ${updateMessages({ payload: `'{"erased": true}'`, last_error: 'null' })} where m.id = any($1::uuid[]) returning m.id),
  attempts as (update waybill.outbox_attempts set error = null, stack = null where message_id in (select id from erased)),
  notes as (
    update waybill.outbox_notes set recipient = null, detail = null, reference = null where message_id in (select id from erased) and type <> 'erased'),
  batches as (update waybill.email_batches set recipients = '{}', answer = null where message_id in (select id from erased)),
  mails as (delete from waybill.inbox_emails where message_id in (select id from erased)),
  runs as (update waybill.cron_runs set error = null, result = null where message_id in (select id from erased))
  insert into waybill.outbox_notes (message_id, type, detail) select id, 'erased', $2 from erased`;

/**
 * Erases a settled message; one that waits is cancelled first. Keys, group and tags stay: they find the message.
 * @param tx a transaction
 * @throws WaybillError `invalid_id`, `not_found`, `state_conflict` while it is being delivered
 */
export async function eraseMessage(
  tx: Executor,
  id: string,
  person: Eraser,
  dryRun = false,
): Promise<Erasure> {
  checkId(id);
  type Look = Pick<Erasure, 'status' | 'attempts' | 'notes' | 'inbox'>;
  const [look] = (await tx.executeSql<Look>(lookSql, [id])).rows;
  const { status, attempts, notes, inbox } = look ?? notFound(id);
  if (status === 'sending')
    throw new WaybillError(
      'state_conflict',
      `the message ${id} is being delivered: wait for its end, or end the attempt, and erase it then`,
    );
  const cancelled = isAllowed('cancel', status);
  if (!dryRun) {
    if (cancelled) await cancelMessage(tx, id);
    await tx.executeSql(eraseSql, [[id], detailOf(person)]);
  }
  return { id, status, cancelled, attempts, notes, inbox, dryRun };
}

/** Who erases, and why. */
export type Eraser = { readonly by: string; readonly reason: string | null };

const detailOf = ({ by, reason }: Eraser): string =>
  cleanError(reason === null ? `by ${by}` : `by ${by}: ${reason}`);

/** Values: ids. In the order of the ids, so that two of them do not wait for each other. */
const lockSql = `
  select id::text as id, status from waybill.outbox_messages m
   where id = any($1::uuid[]) and not ${guard('deliver')} and not ${isErased} order by id for update skip locked`;

/** Values: ids. */
const cancelManySql = `
  with ${endMessages(transitions.cancel.set(), `where m.id = any($1::uuid[]) and ${guard('cancel', 'm.status')}`, `'cancelled'`)}
  select count(*)::int as n from ended`;

export type Erased = { readonly ids: readonly string[]; readonly cancelled: number };

/**
 * Erases many as `eraseMessage` erases one. Those that are being delivered, that another transaction has locked, or that are erased already are left.
 * @param tx a transaction
 * @param ids at most some thousands
 * @param note who does it and why, for the timelines
 */
export async function eraseMessages(
  tx: Executor,
  ids: readonly string[],
  note: string | null,
): Promise<Erased> {
  if (ids.length === 0) return { ids, cancelled: 0 };
  const { rows } = await tx.executeSql<{ id: string; status: Status }>(lockSql, [ids]);
  const locked = rows.map(({ id }) => id);
  const waits = rows.filter(({ status }) => isAllowed('cancel', status)).map(({ id }) => id);
  if (waits.length > 0) await tx.executeSql(cancelManySql, [waits]);
  if (locked.length > 0) await tx.executeSql(eraseSql, [locked, note]);
  return { ids: locked, cancelled: waits.length };
}

/** @throws WaybillError `message_erased` */
export async function checkNotErased(db: Executor, id: string): Promise<void> {
  const sql = `select from waybill.outbox_messages m where id = $1 and ${isErased}`;
  if ((await db.executeSql(sql, [id])).rows.length > 0)
    throw new WaybillError(
      'message_erased',
      `the content of the message ${id} was erased: nothing is left to deliver`,
    );
}
