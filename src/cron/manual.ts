// A run by hand. It takes the same way as a tick, and may be repeated as often as a person asks.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import { time } from '../operate/time.ts';
import { runColumns, runView, type RunRow, type RunView } from './history.ts';
import { findJob } from './overview.ts';
import { prepareRun, recordRuns } from './runs.ts';
import type { Instant } from './zones.ts';

/**
 * @param tx a transaction
 * @param scheduledAt the tick that it stands for; null: now
 * @throws WaybillError `unknown_cron_job`
 */
export async function runByHand(tx: Executor, name: string, scheduledAt: Instant | null): Promise<RunView> {
  const { definition, manifest, now } = await findJob(tx, name);
  const { action, args, group, orderKey, tags } = definition;
  const run = prepareRun({
    name: definition.name,
    action,
    args,
    group,
    orderKey,
    tags,
    manifest,
    source: 'admin',
    scheduledAt: scheduledAt ?? now.getTime(),
    skippedTicks: 0,
    catchUpWindow: null,
    skipped: null,
  });
  await recordRuns(tx, [run], null);
  const sql = `select ${runColumns} from waybill.cron_runs where id = $1`;
  return runView((await tx.executeSql<RunRow>(sql, [run.id])).rows[0]!);
}

const earliest = Date.UTC(2000, 0, 1);
const latest = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const isTick = (instant: number): boolean =>
  Number.isInteger(instant) && instant >= earliest && instant <= latest;

/**
 * Reads the time of a tick: milliseconds since 1970, in digits or as a number, or ISO 8601.
 * @throws WaybillError `invalid_time`
 */
export function readScheduledAt(given: number | string): Instant {
  const isNumber = typeof given === 'number' || /^-?\d+$/.test(given);
  const instant = isNumber ? Number(given) : isoInstant(given);
  if (isTick(instant)) return instant;
  const seconds = isNumber && isTick(instant * 1_000);
  const hint = seconds ? `; ${given} looks like seconds: ${instant * 1_000} are its milliseconds` : '';
  throw new WaybillError(
    'invalid_time',
    `scheduledAt must be milliseconds since 1970, or a time in ISO 8601 with its zone, from the year 2000 on${hint}`,
  );
}

function isoInstant(text: string): number {
  try {
    return time('scheduledAt', text)?.getTime() ?? Number.NaN;
  } catch {
    return Number.NaN; // the caller's error also names the milliseconds
  }
}
