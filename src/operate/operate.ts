// Operations on messages: retry one or many, cancel one. The legal changes come from src/message/transitions.ts.

import type { Executor } from '../db/executor.ts';
import { sqlState } from '../db/diagnosis.ts';
import { WaybillError } from '../errors.ts';
import { whereOf, type MessageFilter } from './filter.ts';
import { blocksKey } from '../outbox/order.ts';
import { refuse } from './refusal.ts';
import { half } from '../outbox/waiting.ts';
import { checkId, viewColumns, viewMessage, viewOf, type MessageView, type ViewRow } from './read.ts';
import { endMessages, guard, isAllowed, transitions, updateMessages } from '../message/transitions.ts';

/** The key of a delivered message that was pruned is still taken. Of an erased message nothing is left to deliver (src/operate/erase.ts). */
const keyIsFree = `(not exists (select from waybill.outbox_notes e where e.message_id = m.id and e.type = 'erased') and (m.delivery_key is null or not exists (
  select from waybill.outbox_keys k where k.kind = m.kind and k.name = m.name and k.delivery_key = m.delivery_key)))`;

export const retrySql = `${updateMessages(transitions.retry.set())}
  where id = $1 and ${guard('retry')} and ${keyIsFree} returning ${viewColumns}`;

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
    `a newer message with the delivery key of ${id} stands: this one cannot be retried beside it`,
  );
}

export type BulkRetry = { readonly matched: number; readonly retried: number };

export type BulkOptions = {
  /** Only counts. */
  readonly dryRun?: boolean;
  /** Called after each batch with the number retried so far. */
  readonly onProgress?: (retried: number) => void;
};

const batchSize = 500;

/**
 * Retries all matching messages, newest first, in batches of 500, each in its own transaction. It skips rows that are locked, and messages whose
 * delivery key another message has.
 * @throws WaybillError `filter_required`, `invalid_status`
 */
export async function retryMany(
  db: Executor,
  given: MessageFilter,
  { dryRun = false, onProgress }: BulkOptions = {},
): Promise<BulkRetry> {
  const says = (part: unknown): boolean => (Array.isArray(part) ? part.length > 0 : part !== undefined);
  if (!Object.values(given).some(says))
    throw new WaybillError(
      'filter_required',
      'say which messages: a filter such as status, kind, name, queue, since or errorContains is needed',
    );
  const impossible = given.status?.find((status) => !isAllowed('retry', status));
  if (impossible)
    throw new WaybillError(
      'invalid_status',
      `${impossible} messages cannot be retried, only dead and cancelled ones`,
    );
  const filter: MessageFilter = { ...given, status: given.status?.length ? given.status : ['dead'] };
  const matched = await count(db, filter);
  let retried = 0;
  for (let before: string | null = null; !dryRun;) {
    const batch: Batch = await retryBatch(db, filter, before);
    retried += batch.retried;
    onProgress?.(retried);
    if (batch.last === null) break;
    before = batch.last;
  }
  return { matched, retried };
}

async function count(db: Executor, filter: MessageFilter): Promise<number> {
  const { conditions, values } = whereOf(filter);
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${conditions.join(' and ')}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]?.n ?? 0;
}

/** `last`: the id from which the next batch continues; null when none is left. */
type Batch = { readonly retried: number; readonly last: string | null };

async function retryBatch(db: Executor, filter: MessageFilter, before: string | null): Promise<Batch> {
  for (let round = 1; ; round++) {
    try {
      const { text, values } = bulkSql(filter, before);
      return (await db.executeSql<Batch>(text, values)).rows[0] ?? { retried: 0, last: null };
    } catch (error) {
      // A message with one of the keys was recorded at the same time: the next round sees it.
      if (sqlState(error) !== '23505' || round === 3) throw error;
    }
  }
}

/** Of messages with the same delivery key it retries only the newest, with which the others would collide. */
function bulkSql(filter: MessageFilter, before: string | null): { text: string; values: unknown[] } {
  const { conditions, values } = whereOf(filter);
  if (before !== null) conditions.push(`id < $${values.push(before)}::uuid`);
  const text = `
  with batch as (
    select id, kind, name, delivery_key from waybill.outbox_messages
     where ${[...conditions, guard('retry')].join(' and ')}
     order by id desc limit ${batchSize} for update skip locked),
  fit as (
    select id from (
      select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, id::text) order by id desc) as place from batch m) m
     where place = 1 and ${keyIsFree} and (m.delivery_key is null or not exists (
       select from waybill.outbox_messages o where o.kind = m.kind and o.name = m.name and o.delivery_key = m.delivery_key
          and o.delivery_key is not null and o.dead_at is null and o.cancelled_at is null))),
  done as (
    ${updateMessages(transitions.retry.set())} where m.id = any(array(select id from fit)) returning m.id)
  select (select count(*) from done)::int as retried, (select id from batch order by id limit 1) as last`;
  return { text, values };
}
