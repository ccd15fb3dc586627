// What people do to many messages at once: each act once for the console, HTTP and the command line. It checks, changes and records in one transaction.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { WaybillError } from '../errors.ts';
import { newId } from '../message/id.ts';
import { audited, recordAct, type Actor } from '../operate/audit.ts';
import { insertBulk, moveBulk, showBulk, type BulkMove, type BulkView } from '../operate/bulk.ts';
import { previewBulk, previewWithin, type BulkPreview } from '../operate/bulk-preview.ts';
import { readAction, readDue, taskOf, type BulkTask } from '../operate/bulk-task.ts';
import { parseFilter } from '../operate/filter.ts';
import { withTimes } from '../operate/time.ts';
import { parseRate } from '../queues/limits.ts';

export type BulkGiven = {
  /** retry, cancel, hold, reschedule or erase. */
  readonly action: string;
  /** As `parseFilter` takes it, without limit and cursor. */
  readonly filter: Parameters<typeof parseFilter>[0];
  /** Every message in a state that the action takes. */
  readonly all?: boolean | undefined;
  /** For hold and reschedule: a time, a duration from now, or `now`. */
  readonly due?: string | undefined;
  /** Such as `50/s`. */
  readonly rate?: string | undefined;
  /** It ends after so many changes. */
  readonly limit?: number | undefined;
  /** The count of the preview, or `any`. Above 100 messages it must be given. */
  readonly expect?: number | 'any' | undefined;
};

type Read = { readonly task: BulkTask; readonly rate: number | null; readonly limit: number | null };

const mostChanges = 2_000_000_000;

/** Checks what was given. */
async function read(
  db: Executor,
  { action: text, filter, all = false, due, rate, limit }: BulkGiven,
): Promise<Read> {
  const action = readAction(text);
  const perSecond = rate === undefined ? null : parseRate('rate', rate);
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= mostChanges))
    throw new WaybillError(
      'invalid_limit',
      'limit must be a whole number from 1 on: the act ends after so many changes',
    );
  const { limit: _, cursor: __, ...parsed } = parseFilter(filter);
  const now = (await db.executeSql<{ now: Date }>('select now() as now')).rows[0]!.now;
  return {
    task: taskOf(action, parsed, { due: readDue(action, due, new Date(now)), all }),
    rate: perSecond === null ? null : (perSecond.limit * 1_000) / perSecond.ms,
    limit: limit ?? null,
  };
}

/**
 * What a bulk act would do. Nothing is changed.
 * @throws WaybillError `filter_required`, `invalid_action`, `invalid_status`, `invalid_due`, `invalid_limit`, `invalid_limit_value`, and as
 * `parseFilter`
 */
export async function preview(db: Database, given: BulkGiven): Promise<BulkPreview> {
  return previewBulk(db, (await read(db, given)).task);
}

/** The same in a transaction that has begun. @throws as `preview` */
export async function previewIn(tx: Executor, given: BulkGiven): Promise<BulkPreview> {
  return previewWithin(tx, (await read(tx, given)).task);
}

/** Up to this many messages, no count need be confirmed. */
export const unconfirmed = 100;

/**
 * Starts a bulk act, which the relay works off. One that matches nothing is done at once.
 * @throws WaybillError as `preview`; `count_required`, `count_differs`
 */
export async function start(db: Database, actor: Actor, asked: BulkGiven): Promise<BulkView> {
  const given = { ...asked, filter: withTimes(asked.filter) };
  const { task, rate, limit } = await read(db, given);
  const { matched, atLeast } = await previewBulk(db, task);
  checkCount(given.expect, matched, atLeast);
  const { action, due } = task;
  const { by, via, reason } = actor;
  const id = newId();
  return db.transaction(async (tx) => {
    await insertBulk(tx, {
      id,
      action,
      due,
      filter: given.filter,
      rate,
      limit,
      matched,
      atLeast,
      by,
      via,
      reason,
    });
    const detail = {
      action,
      ...(due && { due }),
      ...(rate !== null && { rate }),
      ...(limit !== null && { limit }),
    };
    await recordAct(tx, actor, {
      act: 'bulk.start',
      target: id,
      filter: given.filter,
      count: matched,
      detail,
    });
    return showBulk(tx, id);
  });
}

/** The count may have changed by a tenth, or by ten, since the preview. */
function checkCount(expect: number | 'any' | undefined, matched: number, atLeast: boolean): void {
  const shown = `${matched.toLocaleString('en')}${atLeast ? '+' : ''}`;
  if (expect === 'any' || (expect === undefined && matched <= unconfirmed)) return;
  if (expect === undefined)
    throw new WaybillError(
      'count_required',
      `${shown} messages match: look at the preview (a dry run), then give its count as expect: ${matched} (--expect ${matched})`,
    );
  const differs = atLeast ? expect < matched : Math.abs(expect - matched) > Math.max(10, expect / 10);
  if (differs)
    throw new WaybillError(
      'count_differs',
      `${shown} messages match, and ${expect.toLocaleString('en')} were expected: look at the preview again`,
    );
}

/**
 * Pauses, resumes or stops an act. A batch that is under way ends first. A stop is for good; what was changed stays changed.
 * @throws WaybillError as `moveBulk`
 */
export const move = (db: Database, actor: Actor, id: string, how: BulkMove): Promise<BulkView> =>
  audited(db, actor, { act: `bulk.${how}`, target: id }, (tx) => moveBulk(tx, id, how));
