// The scheduler turns due jobs into runs and their messages, in the transaction that moves the jobs on. The scheduler that locks a job's row
// handles it. So any number of schedulers share the work, and one that dies has done all or nothing (invariants A, G, H).

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { readSchedule } from '../define/cron/schedule.ts';
import type { Events } from '../metrics/events.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { planTicks, type Plan, type PlannedTick } from './catchup.ts';
import type { ScheduledJob } from './overview.ts';
import { prepareRun, recordRuns, type NewRun, type PreparedRun } from './runs.ts';
import type { Instant, Zones } from './zones.ts';

export type SchedulerPorts = {
  readonly db: Database;
  readonly zones: Zones;
  readonly events: Events;
  readonly observe: Observe;
  /** Called after a commit that recorded messages. */
  readonly notify: () => void;
};

/** Jobs in one transaction, and about as many runs: the catch-up of one job is never split. */
const batch = 100;
const mostRuns = 2_000;
/** No longer than this, because a notification may be lost and a clock may jump. */
const longestSleep: Milliseconds = 5_000;
/** Pause while another scheduler has locked the due jobs: it may die. */
const whileLocked: Milliseconds = 100;
/** How long a job is put off that cannot be planned, because its row was edited. */
const putOffMs: Milliseconds = 300_000;

export const nextDueSql = `
  select (extract(epoch from min(next_at) - coalesce($1::timestamptz, now())) * 1000)::float8 as ms from waybill.cron_jobs`;

/** Values: limit, now. Whether an earlier run is not finished is looked up only for jobs with `overlap: skip`. */
export const takeDueJobsSql = `
  with due as (
    select name, manifest, definition, cursor_at from waybill.cron_jobs where next_at <= coalesce($2::timestamptz, now())
     order by next_at limit $1 for update skip locked)
  select name, manifest, definition, cursor_at as "cursorAt", coalesce($2::timestamptz, now()) as now,
         definition ->> 'overlap' = 'skip' and exists (
           select from waybill.cron_runs r where r.name = due.name and r.status = 'dispatched') as busy,
         (select jsonb_build_object('since', extract(epoch from d.since) * 1000, 'until', extract(epoch from d.until) * 1000)
            from waybill.cron_disabled d where d.name = due.name) as disabled
    from due`;

/** Values: names, cursors (null: unchanged), next ticks. */
export const moveOnSql = `
  update waybill.cron_jobs j set cursor_at = coalesce(n.cursor_at, j.cursor_at), next_at = n.next_at
    from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as n(name, cursor_at, next_at) where j.name = n.name`;

type DueJob = Omit<ScheduledJob, 'overdueSeconds' | 'disabled'> & {
  readonly busy: boolean;
  /** Also when its end has passed: the ticks until then were disabled. */
  readonly disabled: { readonly since: number; readonly until: number | null } | null;
};

/** A disabled job dispatches nothing, and later no tick of that time. */
function isDisabled({ disabled, now }: DueJob, tick: Instant): boolean {
  if (disabled === null) return false;
  const { since, until } = disabled;
  if (until === null || until > now.getTime()) return true;
  return tick >= since && tick < until;
}

/** Returns the body of the scheduler's loop. `at` counts as now; default: the database's time. */
export function createScheduler(ports: SchedulerPorts): (at?: Date | null) => Promise<Milliseconds> {
  const { db, events, observe, notify } = ports;
  return async function schedulerStep(at = null) {
    const wait = await untilNextTick(db, at);
    if (wait > 0) return Math.min(Math.ceil(wait), longestSleep);
    const done = await db.transaction((tx) => dispatchDue(tx, at, ports));
    for (const { run, lagSeconds } of done.runs) events.cronDispatched(run, lagSeconds);
    if (done.runs.some(({ run }) => run.skipped === null)) notify();
    observe('scheduled', { jobs: done.jobs, runs: done.runs.length });
    return done.jobs === 0 ? whileLocked : 0;
  };
}

async function untilNextTick(db: Executor, at: Date | null): Promise<Milliseconds> {
  const { rows } = await db.executeSql<{ ms: number | null }>(nextDueSql, [at]);
  return rows[0]?.ms ?? longestSleep;
}

type Dispatched = {
  readonly jobs: number;
  readonly runs: readonly { readonly run: PreparedRun; readonly lagSeconds: number }[];
};

async function dispatchDue(tx: Executor, at: Date | null, ports: SchedulerPorts): Promise<Dispatched> {
  const { rows } = await tx.executeSql<DueJob>(takeDueJobsSql, [batch, at]);
  if (rows.length === 0) return { jobs: 0, runs: [] };
  const planned: Planned[] = [];
  let count = 0;
  for (const job of rows) {
    if (count >= mostRuns) break; // the rest stays due
    const plan = planOf(job, ports);
    count += plan.runs.length;
    planned.push(plan);
  }
  const runs = planned.flatMap((plan) => plan.runs);
  const recorded = await recordRuns(tx, runs, at);
  await moveOn(tx, planned);
  const now = rows[0]!.now.getTime();
  const told = runs.filter((run) => recorded.has(run.id));
  return {
    jobs: planned.length,
    runs: told.map((run) => ({ run, lagSeconds: (now - run.scheduledAt) / 1_000 })),
  };
}

type Planned = {
  readonly name: string;
  readonly runs: readonly PreparedRun[];
  /** Ticks up to here are handled; null: unchanged. */
  readonly cursor: Date | null;
  readonly next: Date;
};

/** A row that cannot be read is put off, so that the others go on. */
function planOf(job: DueJob, { zones, events }: SchedulerPorts): Planned {
  const { name, definition } = job;
  const [cursor, now] = [job.cursorAt.getTime(), job.now.getTime()];
  try {
    const read = readSchedule(definition.schedule);
    if ('problem' in read) throw new Error(read.problem);
    const timetable = { schedule: read.schedule, zone: zones(definition.timeZone) };
    const plan = planTicks(timetable, definition, cursor, now);
    const runs = runsOf(job, plan).map(prepareRun);
    return { name, runs, cursor: new Date(Math.max(cursor, now)), next: new Date(plan.next) };
  } catch (error) {
    events.cronUnplanned(name, error);
    return { name, runs: [], cursor: null, next: new Date(now + putOffMs) };
  }
}

function runsOf(job: DueJob, { runs, tooOld }: Plan): NewRun[] {
  const { name, manifest, definition, busy } = job;
  const { action, args, group, orderKey, tags } = definition;
  const of = (tick: PlannedTick, skipped: NewRun['skipped']): NewRun => {
    return { ...tick, name, action, args, group, orderKey, tags, manifest, skipped, source: 'cron' };
  };
  const dropped = tooOld === null ? [] : [of(tooOld, 'too_old')];
  const why = ({ scheduledAt }: PlannedTick): NewRun['skipped'] =>
    isDisabled(job, scheduledAt) ? 'disabled' : busy ? 'overlap' : null;
  return [...dropped, ...runs.map((tick) => of(tick, why(tick)))];
}

async function moveOn(tx: Executor, planned: readonly Planned[]): Promise<void> {
  const columns = [
    planned.map((one) => one.name),
    planned.map((one) => one.cursor),
    planned.map((one) => one.next),
  ];
  await tx.executeSql(moveOnSql, columns);
}
