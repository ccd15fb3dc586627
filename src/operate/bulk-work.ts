// Works bulk acts off: takes one that may go on, does its next batch, and writes its progress, in one transaction. Any number of relays share the
// acts, because the row of an act is locked for its batch. A pause or a stop waits for that lock, and so holds from the next batch on.

import { diagnose, isConflict, sqlState } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import { momentText } from '../db/moment.ts';
import type { Database } from '../db/pool.ts';
import type { Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';
import { cleanError } from '../redaction/redact.ts';
import { batchSize, beginBatch, countsOthers, lockedBatch, walkBatch, type Batch } from './bulk-batch.ts';
import { whoText } from './audit.ts';
import { masked } from './bulk.ts';
import { taskOf, type BulkAction, type BulkTask } from './bulk-task.ts';
import { parseFilter } from './filter.ts';

type FilterTexts = Parameters<typeof parseFilter>[0];

type Taken = {
  readonly id: string;
  readonly action: BulkAction;
  readonly filter: FilterTexts;
  readonly due: string | null;
  readonly rate: number | null;
  readonly most: number | null;
  readonly newest: string | null;
  readonly reached: string | null;
  readonly isWalked: boolean;
  readonly matched: number;
  readonly atLeast: boolean;
  readonly changed: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly since: string;
  readonly by: string;
  readonly via: string;
  readonly reason: string | null;
};

/** SQL expression: whether there is work. */
export const hasBulk = `exists (select from waybill.bulk_acts where state = 'running')`;

/** The one that has waited longest, so that several take turns. */
export const takeBulkSql = `
  select id::text as id, action, filter, arguments ->> 'due' as due, rate, most, newest::text as newest, reached::text as reached,
         is_walked as "isWalked", matched, at_least as "atLeast", changed, skipped, ${momentText('created_at')} as since, by, via, reason
    from waybill.bulk_acts
   where state = 'running' and (next_at is null or next_at <= clock_timestamp())
   order by worked_at nulls first, id limit 1 for update skip locked`;

/** Milliseconds until an act may go on. Null: none is running. One that another relay works on counts as due in 200 ms. */
export const nextBulkSql = `
  select ceil(extract(epoch from min(case when next_at > clock_timestamp() then next_at - clock_timestamp() else interval '200 ms' end)) * 1000)::float8
         as ms
    from waybill.bulk_acts where state = 'running'`;

/** Messages that were locked when the walk came by. Values: id, limit. */
export const lockedIdsSql = `
  select message_id::text as id from waybill.bulk_locked where act_id = $1::uuid order by visits, message_id desc limit $2`;

export const noteLockedSql = `
  insert into waybill.bulk_locked (act_id, message_id) select $1::uuid, unnest($2::uuid[]) on conflict do nothing`;

/** Values: id, ids that were visited, and those of them that are still locked. */
export const visitedSql = `
  with gone as (
    delete from waybill.bulk_locked where act_id = $1::uuid and message_id = any($2::uuid[]) and message_id <> all($3::uuid[]))
  update waybill.bulk_locked set visits = visits + 1 where act_id = $1::uuid and message_id = any($3::uuid[])`;

/** A rate may catch up this much after a delay. */
const catchUpMs = 250;
/** Pause before locked messages are visited again. */
const revisitMs = 1_000;

/**
 * Values: id, changed, skipped, reached, whether the walk is over, whether the act is, whether only locked messages are left, and at the end the
 * filter without addresses.
 */
export const progressSql = `
  update waybill.bulk_acts
     set filter = coalesce($8::text::jsonb, filter), changed = changed + $2, skipped = $3::text::jsonb, reached = $4::uuid, is_walked = $5, errors = 0, last_error = null,
         state = case when $6 then 'done' else state end, ended_at = case when $6 then clock_timestamp() end,
         started_at = coalesce(started_at, clock_timestamp()), worked_at = clock_timestamp(),
         next_at = greatest(
           case when $7 then clock_timestamp() + interval '${revisitMs} ms' end,
           case when rate is not null then greatest(next_at, clock_timestamp() - interval '${catchUpMs} ms') + $2 / rate * interval '1 s' end)
   where id = $1::uuid`;

/** Batches that may fail one after another, each a second later than the one before. */
const mostErrors = 10;

/** Values: id, error. */
export const failedBatchSql = `
  update waybill.bulk_acts
     set errors = errors + 1, last_error = $2, next_at = clock_timestamp() + (errors + 1) * interval '1 s', worked_at = clock_timestamp(),
         state = case when errors + 1 >= ${mostErrors} then 'failed' else state end,
         ended_at = case when errors + 1 >= ${mostErrors} then clock_timestamp() end
   where id = $1::uuid and state = 'running'`;

export type BulkStep =
  /** A batch was done. @see changed 0: it only read */
  | { readonly id: string; readonly changed: number }
  /** None may go on now. `inMs`: when the next one may; null: none is running. */
  | { readonly id: null; readonly inMs: Milliseconds | null };

/**
 * Does the next batch of one act.
 * @throws the error of a batch, which is noted in the act; after ten in a row the act has failed
 */
export async function workBulk(db: Database): Promise<BulkStep> {
  for (let round = 1; ; round++) {
    let id: string | undefined;
    try {
      const done = await db.transaction(async (tx) => {
        const [act] = (await tx.executeSql<Taken>(takeBulkSql)).rows;
        id = act?.id;
        return act ? { id: act.id, changed: await workOn(tx, act) } : null;
      }, beginBatch);
      return done ?? { id: null, inMs: await nextIn(db) };
    } catch (error) {
      // Another transaction recorded a message with one of the keys, or two transactions waited for each other: the next round sees it.
      if ((isConflict(error) || sqlState(error) === '23505') && round < 3) continue;
      if (id !== undefined && diagnose(error) === undefined)
        await db.executeSql(failedBatchSql, [id, cleanError(reasonOf(error))]);
      throw error;
    }
  }
}

async function nextIn(db: Executor): Promise<Milliseconds | null> {
  return (await db.executeSql<{ ms: number | null }>(nextBulkSql)).rows[0]?.ms ?? null;
}

/** @returns how many messages it changed */
async function workOn(tx: Executor, act: Taken): Promise<number> {
  const due = act.due === null ? null : new Date(act.due);
  const task = {
    ...taskOf(act.action, parseFilter(act.filter), { due, all: true }),
    note: whoText(act, `by the bulk act ${act.id} of`),
  };
  const size = Math.min(sliceOf(act.rate), act.most === null ? batchSize : act.most - act.changed);
  const { isWalked, batch, locked } = await batchOf(tx, task, act, size);
  const isFull = act.most !== null && act.changed + batch.changed >= act.most;
  const isDone = isFull || (isWalked && !locked);
  const skipped = sumOf(act.skipped, batch.skipped);
  const missing =
    isDone && !isFull && !countsOthers(task) && !act.atLeast ? missingOf(act, batch, skipped) : 0;
  await tx.executeSql(progressSql, [
    act.id,
    batch.changed,
    JSON.stringify(missing > 0 ? { ...skipped, changed_meanwhile: missing } : skipped),
    batch.reached ?? act.reached,
    isWalked,
    isDone,
    isWalked && batch.locked.length > 0,
    isDone ? JSON.stringify(masked(act.filter)) : null,
  ]);
  return batch.changed;
}

type Done = { readonly batch: Batch; readonly isWalked: boolean; readonly locked: boolean };

async function batchOf(tx: Executor, task: BulkTask, act: Taken, size: number): Promise<Done> {
  if (!act.isWalked && act.newest !== null) {
    const batch = await walkBatch(tx, task, { ...act, newest: act.newest }, size);
    if (batch.locked.length > 0) await tx.executeSql(noteLockedSql, [act.id, batch.locked]);
    const isWalked = batch.reached === null;
    return { batch, isWalked, locked: isWalked && (await lockedOf(tx, act, 1)).length > 0 };
  }
  const ids = await lockedOf(tx, act, size);
  const batch = await lockedBatch(tx, task, ids);
  await tx.executeSql(visitedSql, [act.id, ids, batch.locked]);
  return { batch, isWalked: true, locked: (await lockedOf(tx, act, 1)).length > 0 };
}

async function lockedOf(tx: Executor, { id }: Taken, limit: number): Promise<string[]> {
  return (await tx.executeSql<{ id: string }>(lockedIdsSql, [id, limit])).rows.map((row) => row.id);
}

/** Messages of one batch: a quarter of a second's, so that a rate is even. */
function sliceOf(rate: number | null): number {
  return rate === null ? batchSize : Math.min(batchSize, Math.max(1, Math.ceil(rate / 4)));
}

function sumOf(
  before: Readonly<Record<string, number>>,
  more: Readonly<Record<string, number>>,
): Record<string, number> {
  const sum = { ...before };
  for (const [reason, n] of Object.entries(more)) sum[reason] = (sum[reason] ?? 0) + n;
  return sum;
}

/** Messages that matched at the start and did not when the walk came by. */
function missingOf(act: Taken, batch: Batch, skipped: Readonly<Record<string, number>>): number {
  const known = Object.values(skipped).reduce((sum, n) => sum + n, 0);
  return act.matched - act.changed - batch.changed - known;
}
