// What people do to messages: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { endAttempt, type Ending } from '../operate/end.ts';
import type { MessageFilter } from '../operate/filter.ts';
import { cancelMessage, retryMessage } from '../operate/operate.ts';
import { retryMany, type BulkOptions, type BulkRetry } from '../operate/retry-many.ts';
import { checkNotErased, eraseMessage, type Erasure } from '../operate/erase.ts';
import { isMessageId, type MessageView } from '../operate/read.ts';
import { showHistory, type MessageHistory } from '../operate/history.ts';
import { runMessage } from '../operate/run-now.ts';
import { rescheduleMessage, type Due } from '../operate/reschedule.ts';
import { audited, recordAct, whoText, type Actor } from '../operate/audit.ts';

/** `payloadHidden`: the payload was not asked for, or the caller may not see it. */
export type Shown = MessageHistory & { readonly payloadHidden?: true };

/**
 * Shows a message without its payload. Nothing is recorded.
 * @throws WaybillError `invalid_id`, `not_found`
 */
export async function look(db: Executor, id: string): Promise<Shown> {
  return { ...(await showHistory(db, id)), payload: null, payloadHidden: true };
}

/**
 * Shows a message with its payload. The audit says who read it, in the same transaction; where there is none to read, it does not.
 * @throws WaybillError `invalid_id`, `not_found`
 */
export async function show(db: Database, actor: Actor, id: string): Promise<Shown> {
  return db.transaction(async (tx) => {
    const message = await showHistory(tx, id);
    if (message.payload !== null) await recordAct(tx, actor, { act: 'message.show', target: message.id });
    return message;
  });
}

type Of<T> = (db: Database, actor: Actor, target: string) => Promise<T>;

/** @throws WaybillError as `retryMessage`, `message_erased` */
export const retry: Of<MessageView> = (db, actor, id) =>
  audited(db, actor, { act: 'message.retry', target: id }, async (tx) => {
    if (isMessageId(id)) await checkNotErased(tx, id);
    return retryMessage(tx, id);
  });

/** @throws WaybillError as `cancelMessage` */
export const cancel: Of<MessageView> = (db, actor, id) =>
  audited(db, actor, { act: 'message.cancel', target: id }, (tx) => cancelMessage(tx, id));

/** @throws WaybillError as `endAttempt` */
export const end = (db: Database, actor: Actor, id: string, then: Ending): Promise<MessageView> =>
  audited(db, actor, { act: 'message.end', target: id, detail: { then } }, (tx) =>
    endAttempt(tx, id, then, actor),
  );

/** @throws WaybillError as `rescheduleMessage` */
export const reschedule = (db: Database, actor: Actor, id: string, due: Due): Promise<MessageView> =>
  audited(db, actor, { act: 'message.reschedule', target: id, detail: due }, (tx) =>
    rescheduleMessage(tx, id, due),
  );

/**
 * @param queue if given, the message must be in it
 * @throws WaybillError as `runMessage`
 */
export const run = (db: Database, actor: Actor, id: string, queue?: string): Promise<MessageView> =>
  audited(db, actor, { act: 'message.run', target: id }, (tx) => runMessage(tx, id, queue));

/** @throws WaybillError as `eraseMessage` */
export const erase = (db: Database, actor: Actor, id: string, dryRun = false): Promise<Erasure> =>
  dryRun
    ? db.transaction((tx) => eraseMessage(tx, id, actor, true))
    : audited(db, actor, { act: 'message.erase', target: id }, (tx) => eraseMessage(tx, id, actor));

/**
 * Retries all that match, in transactions of their own; the audit has the filter and the count.
 * @throws WaybillError as `retryMany`
 */
export async function retryAll(
  db: Database,
  actor: Actor,
  filter: MessageFilter,
  options: BulkOptions = {},
): Promise<BulkRetry> {
  const result = await retryMany(db, filter, { note: whoText(actor), ...options });
  if (!options.dryRun) await recordAct(db, actor, { act: 'messages.retry', filter, count: result.retried });
  return result;
}
