// Operations on one message: retry, cancel. The legal changes come from src/message/transitions.ts.

import type { Executor } from '../db/executor.ts';
import { sqlState } from '../db/diagnosis.ts';
import { WaybillError } from '../errors.ts';
import { isErased, keyIsFree } from './free-key.ts';
import { blocksKey } from '../outbox/order.ts';
import { refuse } from './refusal.ts';
import { half } from '../outbox/waiting.ts';
import { checkId, viewColumns, viewMessage, viewOf, type MessageView, type ViewRow } from './read.ts';
import { endMessages, guard, transitions, updateMessages } from '../message/transitions.ts';

export const retrySql = `${updateMessages(transitions.retry.set())}
  where id = $1 and ${guard('retry')} and ${keyIsFree} and not ${isErased} returning ${viewColumns}`;

export const cancelSql = `
  with ${endMessages(transitions.cancel.set(), `where m.id = $1 and ${guard('cancel', 'm.status')}`, `'cancelled'`)}
  select id::text as id from ended`;

/** Cancels a dead message that blocks its order key. */
export const dismissSql = `
  with ${endMessages(
    transitions.dismiss.set(),
    `where m.id = $1 and ${half(`${guard('dismiss', 'm.status')} and ${blocksKey('m.')}`)}`,
    `'cancelled'`,
  )}
  select id::text as id from ended`;

/** @throws WaybillError `invalid_id`, `not_found`, `state_conflict`, `delivery_key_taken` */
export async function retryMessage(db: Executor, id: string): Promise<MessageView> {
  checkId(id);
  try {
    const [row] = (await db.executeSql<ViewRow>(retrySql, [id])).rows;
    return row ? viewOf(row) : await refuse(db, 'retry', id, () => keyTaken(id));
  } catch (error) {
    if (sqlState(error) === '23505') keyTaken(id); // a newer message has the delivery key
    throw error;
  }
}

/**
 * Cancels a waiting message, or a dead one that blocks its order key.
 * @throws WaybillError `invalid_id`, `not_found`, `state_conflict`
 */
export async function cancelMessage(db: Executor, id: string): Promise<MessageView> {
  checkId(id);
  for (const sql of [cancelSql, dismissSql])
    if ((await db.executeSql(sql, [id])).rows.length > 0) return viewMessage(db, id);
  return refuse(db, 'cancel', id);
}

function keyTaken(id: string): never {
  throw new WaybillError(
    'delivery_key_taken',
    `another message has the delivery key of ${id}: this one cannot be retried beside it`,
  );
}
