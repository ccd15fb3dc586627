// The list of runs for people: with filters and a cursor, newest first.

import type { Executor } from '../db/executor.ts';
import { momentText, withMoments, type Moment } from '../db/moment.ts';
import { cleanError } from '../redaction/redact.ts';
import { cursorAfter, placeOfCursor } from '../operate/cursor.ts';
import { defaultPageSize, parseFilter, type Paging } from '../operate/filter.ts';
import { knownWord, type Texts } from '../operate/texts.ts';
import { runStatuses, type RunStatus } from './runs.ts';

/** A run in the admin API and the command line. */
export type RunView = {
  readonly id: string;
  readonly name: string;
  readonly action: string;
  readonly scheduledAt: Moment;
  readonly dispatchedAt: Moment;
  readonly finishedAt: Moment | null;
  readonly source: 'cron' | 'admin';
  readonly status: RunStatus;
  /** Why it was skipped: `overlap`, `too_old`, `stale_manifest`, `cancelled`, `unknown_job`, `future_tick`, `disabled`. */
  readonly reason: string | null;
  readonly skippedTicks: number;
  readonly catchUpWindow: { readonly from: Moment; readonly to: Moment } | null;
  readonly manifestVersion: string;
  readonly messageId: string | null;
  readonly result: unknown;
  readonly error: string | null;
};

export type RunPage = { readonly runs: RunView[]; readonly nextCursor: string | null };

const times = {
  scheduledAt: 'scheduled_at',
  dispatchedAt: 'dispatched_at',
  finishedAt: 'finished_at',
  from: 'catch_up_from',
  to: 'catch_up_to',
} as const;
const timeNames = Object.keys(times) as (keyof typeof times)[];

export const runColumns = `id, name, action, ${Object.entries(times)
  .map(([name, column]) => `${momentText(column)} as "${name}"`)
  .join(', ')},
  source, status, reason, skipped_ticks as "skippedTicks", manifest as "manifestVersion", message_id as "messageId", result,
  left(error, 10000) as error`;

/** A row of `runColumns`; its times are texts. */
export type RunRow = Omit<RunView, 'catchUpWindow' | keyof typeof times> & {
  readonly [K in 'scheduledAt' | 'dispatchedAt']: string;
} & { readonly [K in 'finishedAt' | 'from' | 'to']: string | null };

export function runView(row: RunRow): RunView {
  const { from, to, result, error, ...facts } = withMoments(row, timeNames);
  const catchUpWindow = from && to ? { from, to } : null;
  return { ...facts, catchUpWindow, result, error: error === null ? null : cleanError(error) };
}

export type RunFilter = Paging & {
  readonly name?: readonly string[] | undefined;
  readonly status?: readonly RunStatus[] | undefined;
};

/**
 * Reads a filter from a query or a command line.
 * @throws WaybillError `invalid_status`, `invalid_limit`, `invalid_filter`
 */
export function parseRunFilter({
  status,
  ...texts
}: Readonly<Partial<Record<'name' | 'status' | 'limit' | 'cursor', Texts>>>): RunFilter {
  const { name, limit, cursor } = parseFilter(texts);
  const given = status === undefined ? undefined : [status].flat();
  const statuses = given?.map((text) => knownWord('status', runStatuses, text, 'status of a run'));
  return { name, limit, cursor, status: statuses };
}

/**
 * Walks the primary key from its end, or a job's own index.
 * @throws WaybillError `invalid_cursor`
 */
export async function listRuns(db: Executor, filter: RunFilter = {}): Promise<RunPage> {
  const { name, status, limit = defaultPageSize, cursor } = filter;
  const listed = { list: 'runs', filter: { name, status } };
  const values: unknown[] = [];
  const conditions: string[] = [];
  if (name !== undefined) conditions.push(`name = any($${values.push(name)}::text[])`);
  if (status !== undefined) conditions.push(`status = any($${values.push(status)}::text[])`);
  if (cursor !== undefined) conditions.push(`id < $${values.push(placeOfCursor(cursor, listed))}::uuid`);
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';
  // One row more than asked for shows whether there is a next page.
  const sql = `select ${runColumns} from waybill.cron_runs ${where} order by id desc limit $${values.push(limit + 1)}`;
  const { rows } = await db.executeSql<RunRow>(sql, values);
  const runs = rows.slice(0, limit).map(runView);
  const last = runs.at(-1);
  return { runs, nextCursor: rows.length > limit && last ? cursorAfter(last.id, listed) : null };
}
