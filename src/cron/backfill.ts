// A backfill: the ticks of a range that did not run are run now, each once.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import { pastTime } from '../operate/time.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { findJob } from './overview.ts';
import { prepareRun, recordRuns } from './runs.ts';
import { countTicks, newestTicks, timetableOf } from './ticks.ts';
import type { Zones } from './zones.ts';

export const mostBackfilled = 1_000;

export type Range = { readonly from: Date; readonly to: Date };

export type Backfill = Range & {
  readonly name: string;
  /** Ticks of the range that the scheduler has dealt with, run or skipped. Later ones are left to it. */
  readonly ticks: number;
  /** Those that ran, are in progress, or were cancelled by a person. */
  readonly alreadyRun: number;
  /** The ticks that the backfill runs, or would run. */
  readonly runs: readonly Date[];
  readonly dryRun: boolean;
};

/** @param given times, or durations before now; without `to`: now. @throws WaybillError `invalid_time`, `empty_range` */
export function readRange(given: {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}): Range {
  const [from, to] = [pastTime('from', given.from), pastTime('to', given.to) ?? new Date()];
  if (!from)
    throw new WaybillError('empty_range', 'a backfill needs the beginning of its range: from, such as 24h');
  if (from <= to) return { from, to };
  throw new WaybillError('empty_range', 'from must not be after to: nothing lies between them');
}

const ranSql = `
  select scheduled_at as at from waybill.cron_runs
   where name = $1 and scheduled_at between $2 and $3 and (status <> 'skipped' or reason = 'cancelled')`;

/**
 * Runs every tick from `from` to `to`, both inclusive, that was skipped or missed. The runs wait at once, whatever the job's overlap policy; an order key
 * of the job keeps them in order.
 * @param tx a transaction; it locks the job, so neither the scheduler nor another backfill plans the same ticks
 * @param dryRun only says which ticks would run; it locks nothing
 * @throws WaybillError `unknown_cron_job`, `too_many_ticks`
 */
export async function backfill(
  tx: Executor,
  zones: Zones,
  name: string,
  { from, to }: Range,
  dryRun: boolean,
): Promise<Backfill> {
  if (!dryRun) await tx.executeSql('select from waybill.cron_jobs where name = $1 for update', [name]);
  const { definition, manifest, cursorAt } = await findJob(tx, name);
  const span = { after: from.getTime() - 1, upTo: Math.min(to.getTime(), cursorAt.getTime()) };
  const timetable = timetableOf(definition, zones);
  const count = span.after < span.upTo ? countTicks(timetable, span) : 0;
  if (count > mostBackfilled)
    throw new WaybillError(
      'too_many_ticks',
      `${name} has ${count} ticks in this range: a backfill takes ${mostBackfilled} at most, so give a shorter one`,
    );
  const all = count === 0 ? [] : newestTicks(timetable, span, mostBackfilled);
  const { rows } = await tx.executeSql<{ at: Date }>(ranSql, [name, from, to]);
  const ran = new Set(rows.map(({ at }) => at.getTime()));
  const missed = all.filter((tick) => !ran.has(tick));
  const [first, last] = [missed[0], missed.at(-1)];
  if (!dryRun && first !== undefined && last !== undefined) {
    const { action, args, group, orderKey } = definition;
    const common = { name, action, args, group, orderKey, manifest, source: 'admin' as const };
    const facts = { skippedTicks: 0, catchUpWindow: { from: first, to: last }, skipped: null };
    const runs = missed.map((scheduledAt) => prepareRun({ ...common, ...facts, scheduledAt }));
    await recordRuns(tx, runs, null);
    await tx.executeSql(`notify ${outboxChannel}`);
  }
  const runs = missed.map((tick) => new Date(tick));
  return { name, from, to, ticks: all.length, alreadyRun: all.length - missed.length, runs, dryRun };
}
