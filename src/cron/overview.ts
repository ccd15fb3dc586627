// The overview of cron jobs for people: what is scheduled now, when it runs next, and how its last run went.

import type { Executor } from '../db/executor.ts';
import type { CronJob } from '../define/cron-job.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { isName } from '../message/message.ts';
import { disabledOf, disabledSql, type Disabled, type DisabledRow } from './disabling.ts';
import { runColumns, runView, type RunRow, type RunView } from './history.ts';
import { listManifests, type ManifestView } from './manifest.ts';
import { nextTicks, timetableOf } from './ticks.ts';
import { wordsOf } from './words.ts';
import type { Zones } from './zones.ts';

export type JobView = Omit<CronJob, 'args'> & {
  readonly words: string;
  /** How long its next tick has been due and not dispatched, by the database's clock; null: it is not due. */
  readonly overdueSeconds: number | null;
  /** Who disabled it and why; null: it is enabled. */
  readonly disabled: Disabled | null;
  /** The next five ticks. */
  readonly nextTicks: readonly Date[];
  readonly lastRun: RunView | null;
};

export type CronView = { readonly manifests: readonly ManifestView[]; readonly jobs: readonly JobView[] };

/** A job that is scheduled now. */
export type ScheduledJob = {
  readonly name: string;
  readonly manifest: string;
  readonly definition: CronJob;
  readonly cursorAt: Date;
  readonly now: Date;
  readonly overdueSeconds: number | null;
  readonly disabled: DisabledRow | null;
};

const jobColumns = `name, manifest, definition, cursor_at as "cursorAt", now() as now,
  case when next_at < now() then extract(epoch from now() - next_at)::float8 end as "overdueSeconds",
  ${disabledSql('cron_jobs.name')} as disabled`;
const shownTicks = 5;
/** Jobs that are computed before the event loop gets a turn. */
const slice = 200;

export async function readCron(db: Executor, zones: Zones): Promise<CronView> {
  const manifests = await listManifests(db);
  const { rows: jobs } = await db.executeSql<ScheduledJob>(
    `select ${jobColumns} from waybill.cron_jobs order by name`,
  );
  const { rows: runs } = await db.executeSql<RunRow>(`
    select r.* from waybill.cron_jobs j cross join lateral (
      select ${runColumns} from waybill.cron_runs where name = j.name order by id desc limit 1) r`);
  const lastRuns = new Map(runs.map((row) => [row.name, runView(row)]));
  const views: JobView[] = [];
  for (const [i, job] of jobs.entries()) {
    if (i % slice === slice - 1) await new Promise((resolve) => setImmediate(resolve));
    views.push(viewOf(job, lastRuns.get(job.name) ?? null, zones));
  }
  return { manifests, jobs: views };
}

function viewOf(scheduled: ScheduledJob, lastRun: RunView | null, zones: Zones): JobView {
  const { definition, now, overdueSeconds, disabled } = scheduled;
  const { args: _, ...facts } = definition;
  const job = { ...facts, overdueSeconds, disabled: disabledOf(disabled), lastRun };
  try {
    const timetable = timetableOf(definition, zones);
    const ticks = nextTicks(timetable, now.getTime(), shownTicks).map((tick) => new Date(tick));
    return { ...job, words: wordsOf(timetable.schedule, job.timeZone), nextTicks: ticks };
  } catch (error) {
    return { ...job, words: (error as Error).message, nextTicks: [] }; // an edited row must not hide the others
  }
}

/** One job as in the overview. @throws WaybillError `unknown_cron_job` */
export async function showJob(db: Executor, zones: Zones, name: string): Promise<JobView> {
  const job = await findJob(db, name);
  const sql = `select ${runColumns} from waybill.cron_runs where name = $1 order by id desc limit 1`;
  const [last] = (await db.executeSql<RunRow>(sql, [name])).rows;
  return viewOf(job, last ? runView(last) : null, zones);
}

/** @throws WaybillError `unknown_cron_job` */
export async function findJob(db: Executor, name: string): Promise<ScheduledJob> {
  if (!isName(name)) return unknownJob(db, name);
  const sql = `select ${jobColumns} from waybill.cron_jobs where name = $1`;
  const { rows } = await db.executeSql<ScheduledJob>(sql, [name]);
  return rows[0] ?? unknownJob(db, name);
}

async function unknownJob(db: Executor, name: string): Promise<never> {
  const { rows } = await db.executeSql<{ name: string }>('select name from waybill.cron_jobs order by name');
  const names = rows.map((row) => row.name);
  const meant = nearest(name.slice(0, 200), names);
  const hint = meant
    ? `was ${meant} meant?`
    : names.length === 0
      ? 'none is, as long as no process has loaded a released manifest'
      : `there are ${names.slice(0, 20).join(', ')}`;
  throw new WaybillError(
    'unknown_cron_job',
    `no cron job ${JSON.stringify(name.slice(0, 80))} is scheduled: ${hint}`,
  );
}
