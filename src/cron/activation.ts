// Decides which manifest is scheduled: of those that a living process has loaded, the one staged last. So nothing is dispatched for code that does
// not run. A deployment takes over with its first process, and a rollback works the same way.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Transaction } from '../db/transaction.ts';
import type { Milliseconds } from '../ports.ts';
import type { Manifest, ManifestStatus } from './manifest.ts';
import { nextTick, timetableOf } from './ticks.ts';
import type { Zones } from './zones.ts';

/** Notifies the schedulers that other jobs are scheduled now. */
export const cronChannel = 'waybill_cron';

/** A process not seen for this long is gone. Its manifest is given up when another one runs. */
export const absentMs: Milliseconds = 30_000;

/** Values: process, manifest, whether it delivers, ms after which a process is absent. Returns the manifests that run, the one to be active first. */
export const reportSql = `
  with seen as (
    insert into waybill.cron_loaded as l (process, manifest, delivers) values ($1, $2, $3)
    on conflict (process) do update set manifest = excluded.manifest, delivers = l.delivers or excluded.delivers, seen_at = now()),
  forgotten as (delete from waybill.cron_loaded where seen_at < now() - interval '1 hour' and process <> $1),
  ready as (update waybill.cron_manifests set status = 'ready', ready_at = now() where hash = $2 and status = 'staged')
  select hash, status from waybill.cron_manifests
   where hash = $2 or hash in (select manifest from waybill.cron_loaded where seen_at > now() - $4 * interval '1 millisecond')
   order by staged_at desc`;

export type Report = {
  /** Whether `release` has staged this process's manifest. */
  readonly staged: boolean;
  /** Whether it should be active and is not yet. */
  readonly elected: boolean;
};

/** Reports that a process has loaded a manifest. Must be repeated well within `absentMs`. */
export async function report(
  db: Executor,
  { hash }: Manifest,
  { process, delivers }: { readonly process: string; readonly delivers: boolean },
): Promise<Report> {
  type Seen = { readonly hash: string; readonly status: ManifestStatus };
  const { rows } = await db.executeSql<Seen>(reportSql, [process, hash, delivers, absentMs]);
  const [first] = rows;
  return {
    staged: rows.some((row) => row.hash === hash),
    elected: first?.hash === hash && first.status !== 'active',
  };
}

/** One row if the manifest should be active and is not yet. */
const electedSql = `
  select coalesce($3::timestamptz, now()) as now from waybill.cron_manifests
   where hash = $1 and status <> 'active' and staged_at = (
     select max(staged_at) from waybill.cron_manifests where hash = $1 or hash in (
       select manifest from waybill.cron_loaded where seen_at > now() - $2 * interval '1 millisecond'))`;

const retireSql = `update waybill.cron_manifests set status = 'retired', retired_at = now() where status = 'active'`;
const activateSql = `
  update waybill.cron_manifests set status = 'active', activated_at = now(), ready_at = coalesce(ready_at, now()), retired_at = null
   where hash = $1`;

/**
 * Values: names, definitions, next ticks, manifest, now. A job whose schedule is unchanged keeps its cursor, and so the ticks that it missed during
 * the deployment. A job that is new, was away or has another schedule starts with its next tick.
 */
export const scheduleJobsSql = `
  with n as (select * from unnest($1::text[], $2::jsonb[], $3::timestamptz[]) as n(name, definition, next_at)),
  gone as (delete from waybill.cron_jobs j where not exists (select from n where n.name = j.name))
  insert into waybill.cron_jobs as j (name, manifest, definition, cursor_at, next_at)
  select n.name, $4, n.definition, $5, n.next_at from n
  on conflict (name) do update
     set manifest = excluded.manifest, definition = excluded.definition,
         cursor_at = case when ${sameSchedule()} then j.cursor_at else excluded.cursor_at end,
         next_at = case when ${sameSchedule()} then j.next_at else excluded.next_at end`;

function sameSchedule(): string {
  return ['schedule', 'timeZone']
    .map((key) => `j.definition ->> '${key}' = excluded.definition ->> '${key}'`)
    .join(' and ');
}

/**
 * Makes the manifest the active one, if it should be; its jobs are scheduled from then on. False if another process was quicker, or another
 * manifest should be active.
 * @param at the time that counts as now; default: the database's (invariant H)
 */
export async function activate(
  db: Database,
  manifest: Manifest,
  zones: Zones,
  at: Date | null = null,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.executeSql(`select pg_advisory_xact_lock(hashtextextended('waybill cron manifests', 0))`);
    const { rows } = await tx.executeSql<{ now: Date }>(electedSql, [manifest.hash, absentMs, at]);
    const [elected] = rows;
    if (elected === undefined) return false;
    await tx.executeSql(retireSql);
    await tx.executeSql(activateSql, [manifest.hash]);
    await scheduleJobs(tx, manifest, zones, elected.now);
    return true;
  });
}

async function scheduleJobs(
  tx: Transaction,
  { hash, jobs }: Manifest,
  zones: Zones,
  now: Date,
): Promise<void> {
  const next = jobs.map((job) => new Date(nextTick(timetableOf(job, zones), now.getTime())));
  const names = jobs.map((job) => job.name);
  const definitions = jobs.map((job) => JSON.stringify(job));
  await tx.executeSql(scheduleJobsSql, [names, definitions, next, hash, now]);
  await tx.executeSql(`notify ${cronChannel}`);
}
