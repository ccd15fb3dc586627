// Previews a catch-up: the scheduler's own plan, shown and not carried out.

import type { Executor } from '../db/executor.ts';
import type { CronJob } from '../define/cron-job.ts';
import { WaybillError } from '../errors.ts';
import { pastTime } from '../operate/time.ts';
import { planTicks } from './catchup.ts';
import { findJob } from './overview.ts';
import { newestTicks, timetableOf } from './ticks.ts';
import type { Zones } from './zones.ts';

export type Preview = Pick<CronJob, 'name' | 'schedule' | 'timeZone' | 'missedTickPolicy'> & {
  /** Exclusive. */
  readonly from: Date;
  /** Inclusive. */
  readonly to: Date;
  /** How many ticks are due in between, run or skipped. */
  readonly due: number;
  readonly runs: readonly { readonly scheduledAt: Date; readonly skippedTicks: number }[];
  readonly catchUpWindow: { readonly from: Date; readonly to: Date } | null;
  readonly skipped: number;
  /** The newest skipped ticks. */
  readonly skippedTicks: readonly Date[];
  readonly nextTick: Date;
};

const shownSkips = 100;

export type Span = { readonly from?: Date | undefined; readonly to?: Date | undefined };

/** @param given times, or durations before now such as `24h`. @throws WaybillError `invalid_time` */
export function readSpan(given: {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}): Span {
  return { from: pastTime('from', given.from), to: pastTime('to', given.to) };
}

/**
 * @param span default: from the last tick that was handled, to now
 * @throws WaybillError `unknown_cron_job`, `empty_range`
 */
export async function previewCron(
  db: Executor,
  zones: Zones,
  name: string,
  span: Span = {},
): Promise<Preview> {
  const { definition, cursorAt, now } = await findJob(db, name);
  const { from = cursorAt } = span;
  const { to = from > now && span.from === undefined ? from : now } = span; // the clock was put back: nothing is due
  if (from > to)
    throw new WaybillError('empty_range', 'from must not be after to: nothing lies between them');
  const timetable = timetableOf(definition, zones);
  const plan = planTicks(timetable, definition, from.getTime(), to.getTime());
  const runs = new Set(plan.runs.map((run) => run.scheduledAt));
  const between = { after: from.getTime(), upTo: to.getTime() };
  const newest = newestTicks(timetable, between, runs.size + shownSkips);
  const skipped = newest.filter((tick) => !runs.has(tick)).slice(-shownSkips);
  const window = plan.runs[0]?.catchUpWindow ?? null;
  const { schedule, timeZone, missedTickPolicy } = definition;
  return {
    name: definition.name,
    schedule,
    timeZone,
    missedTickPolicy,
    from,
    to,
    due: plan.due,
    runs: plan.runs.map((run) => ({
      scheduledAt: new Date(run.scheduledAt),
      skippedTicks: run.skippedTicks,
    })),
    catchUpWindow: window && { from: new Date(window.from), to: new Date(window.to) },
    skipped: plan.due - runs.size,
    skippedTicks: skipped.map((tick) => new Date(tick)),
    nextTick: new Date(plan.next),
  };
}
