// Catch-up: what came due since a job was last looked at → what runs, and how many ticks do not (DESIGN, promise 8: each due tick is
// in exactly one of the two). The same plan is what the scheduler does and what the preview shows.

import type { CronJob } from '../define/cron-job.ts';
import { countTicks, newestTicks, nextTick, type Timetable } from './ticks.ts';
import type { Instant } from './zones.ts';

export type Policy = Pick<CronJob, 'missedTickPolicy' | 'maxCatchUpTicks' | 'maxCatchUpAgeMs'>;

export type CatchUpWindow = { readonly from: Instant; readonly to: Instant };

export type PlannedTick = {
  readonly scheduledAt: Instant;
  /** Ticks before it that do not run; counted with the first that does. */
  readonly skippedTicks: number;
  readonly catchUpWindow: CatchUpWindow | null;
};

export type Plan = {
  /** How many ticks came due. */
  readonly due: number;
  /** In order. */
  readonly runs: readonly PlannedTick[];
  /** All of them were too old: the newest stands for the others. */
  readonly tooOld: PlannedTick | null;
  readonly next: Instant;
};

/**
 * @param cursor ticks up to here were dealt with. It may lie ahead of `now`, when the clock was put back: then nothing is due.
 */
export function planTicks(timetable: Timetable, policy: Policy, cursor: Instant, now: Instant): Plan {
  const span = { after: cursor, upTo: now };
  const next = nextTick(timetable, Math.max(cursor, now));
  const most = policy.missedTickPolicy === 'all' ? policy.maxCatchUpTicks : 1;
  const newest = cursor < now ? newestTicks(timetable, span, most) : [];
  const due = newest.length < most ? newest.length : countTicks(timetable, span);
  const last = newest.at(-1);
  if (last === undefined) return { due: 0, runs: [], tooOld: null, next };
  if (policy.missedTickPolicy === 'latest')
    return { due, runs: [tickOf(last, due - 1, null)], tooOld: null, next };
  const young = newest.filter((tick) => tick >= now - policy.maxCatchUpAgeMs);
  const [first] = young;
  if (first === undefined) return { due, runs: [], tooOld: tickOf(last, due - 1, null), next };
  const window = due > 1 ? { from: first, to: last } : null;
  const dropped = due - young.length;
  return {
    due,
    runs: young.map((tick) => tickOf(tick, tick === first ? dropped : 0, window)),
    tooOld: null,
    next,
  };
}

function tickOf(
  scheduledAt: Instant,
  skippedTicks: number,
  catchUpWindow: CatchUpWindow | null,
): PlannedTick {
  return { scheduledAt, skippedTicks, catchUpWindow };
}
