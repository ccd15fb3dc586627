// Retries all messages that a filter matches, before the answer. It uses the batches of bulk acts (src/operate/bulk-batch.ts), without an object that
// outlives the caller.

import { sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Transactions } from '../db/transaction.ts';
import { momentText } from '../db/moment.ts';
import { batchSize, beginBatch, walkBatch, type Batch, type Walk } from './bulk-batch.ts';
import { taskOf, type BulkTask } from './bulk-task.ts';
import { whereOf, type MessageFilter } from './filter.ts';

export type BulkRetry = { readonly matched: number; readonly retried: number };

export type BulkOptions = {
  /** Only counts. */
  readonly dryRun?: boolean;
  /** For the timeline of each message. */
  readonly note?: string;
  /** Called after each batch with the number retried so far. */
  readonly onProgress?: (retried: number) => void;
};

/**
 * Retries all matching messages, newest first, in batches of 500, each in its own transaction. It skips rows that are locked, and messages whose
 * delivery key another message has.
 * @throws WaybillError `filter_required`, `invalid_status`
 */
export async function retryMany(
  db: Executor & Transactions,
  given: MessageFilter,
  { dryRun = false, note, onProgress }: BulkOptions = {},
): Promise<BulkRetry> {
  const task = { ...taskOf('retry', given), ...(note !== undefined && { note }) };
  const matched = await count(db, { ...task.filter, status: task.statuses });
  let retried = 0;
  let walk = dryRun ? null : await startOfWalk(db);
  while (walk !== null) {
    const { changed, reached } = await again(db, task, walk);
    retried += changed;
    onProgress?.(retried);
    walk = reached === null ? null : { ...walk, reached };
  }
  return { matched, retried };
}

async function count(db: Executor, filter: MessageFilter): Promise<number> {
  const { conditions, values } = whereOf(filter);
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${conditions.join(' and ')}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]?.n ?? 0;
}

export const startOfWalkSql = `
  select id::text as newest, ${momentText('now()')} as since from waybill.outbox_messages order by id desc limit 1`;

async function startOfWalk(db: Executor): Promise<Walk | null> {
  const [row] = (await db.executeSql<Pick<Walk, 'newest' | 'since'>>(startOfWalkSql)).rows;
  return row ? { ...row, reached: null } : null;
}

async function again(db: Transactions, task: BulkTask, walk: Walk): Promise<Batch> {
  for (let round = 1; ; round++) {
    try {
      return await db.transaction((tx) => walkBatch(tx, task, walk, batchSize), beginBatch);
    } catch (error) {
      // A message with one of the keys was recorded at the same time: the next round sees it.
      if (sqlState(error) !== '23505' || round === 3) throw error;
    }
  }
}
