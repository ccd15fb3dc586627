// Catch-up: which of a job's due ticks run, and how many are skipped. Each due tick is one or the other (DESIGN, promise 8). The scheduler and the
// preview use the same plan.

import type { CronJob } from '../define/cron-job.ts';
import { countTicks, newestTicks, nextTick, type Timetable } from './ticks.ts';
import type { Instant } from './zones.ts';

export type Policy = Pick<CronJob, 'missedTickPolicy' | 'maxCatchUpTicks' | 'maxCatchUpAgeMs'>;

export type CatchUpWindow = { readonly from: Instant; readonly to: Instant };

export type PlannedTick = {
  readonly scheduledAt: Instant;
  /** Ticks before it that are skipped; counted with the first one that runs. */
  readonly skippedTicks: number;
  readonly catchUpWindow: CatchUpWindow | null;
};

export type Plan = {
  /** How many ticks came due. */
  readonly due: number;
  /** In order of time. */
  readonly runs: readonly PlannedTick[];
  /** Set if all ticks were too old: the newest stands for the others. */
  readonly tooOld: PlannedTick | null;
  readonly next: Instant;
};

/** @param cursor ticks up to here were handled. If the clock was put back, it may be later than `now`: then nothing is due. */
export function planTicks(timetable: Timetable, policy: Policy, cursor: Instant, now: Instant): Plan {
  const span = { after: cursor, upTo: now };
  const next = nextTick(timetable, Math.max(cursor, now));
  const most = policy.missedTickPolicy === 'all' ? policy.maxCatchUpTicks : 1;
  const newest = newestTicks(timetable, span, most);
  const due = newest.length < most ? newest.length : countTicks(timetable, span);
  const last = newest.at(-1);
  if (last === undefined) return { due: 0, runs: [], tooOld: null, next };
  const newestAlone = { scheduledAt: last, skippedTicks: due - 1, catchUpWindow: null };
  if (policy.missedTickPolicy === 'latest') return { due, runs: [newestAlone], tooOld: null, next };
  const young = newest.filter((tick) => tick >= now - policy.maxCatchUpAgeMs);
  const [first] = young;
  if (first === undefined) return { due, runs: [], tooOld: newestAlone, next };
  const catchUpWindow = due > 1 ? { from: first, to: last } : null;
  const dropped = due - young.length;
  return {
    due,
    runs: young.map((tick) => ({
      scheduledAt: tick,
      skippedTicks: tick === first ? dropped : 0,
      catchUpWindow,
    })),
    tooOld: null,
    next,
  };
}
