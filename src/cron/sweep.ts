// The sweep of cron runs: it ends runs that nothing else would end, counts ended runs, and deletes those past their retention.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { endMessages, guard, transitions } from '../message/transitions.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { absentMs } from './activation.ts';

/** A tick is skipped if no worker has had its manifest for this long. Normally a deployment brings such a worker sooner. */
export const staleMs: Milliseconds = 60_000;

/**
 * Cancels messages of ticks whose manifest no worker has, and skips their runs. Without any worker they wait. A message that a worker holds is not
 * cancelled. Values: ms until stale, ms until absent, rows.
 */
export const skipStaleSql = `
  with stale as (
    select message_id from waybill.cron_runs r
     where status = 'dispatched' and dispatched_at < now() - $1 * interval '1 millisecond'
       and exists (select from waybill.cron_loaded l where l.delivers and l.seen_at > now() - $2 * interval '1 millisecond')
       and not exists (select from waybill.cron_loaded l
                        where l.delivers and l.manifest = r.manifest and l.seen_at > now() - $1 * interval '1 millisecond')
     limit $3),
  ${endMessages(
    transitions.cancel.set({ error: `'stale_manifest: no worker has the manifest of this tick'` }),
    `where m.id = any(array(select message_id from stale)) and ${guard('cancel', 'm.status')}`,
    `'cancelled'`,
  )}
  update waybill.cron_runs set status = 'skipped', reason = 'stale_manifest', finished_at = now()
   where message_id = any(array(select id from ended)) and status = 'dispatched'
  returning id`;

/** Ends dispatched runs whose message is gone: a row was edited by hand, and nothing else would end them. Values: rows. */
export const endOrphansSql = `
  with orphans as (
    select r.id, case when not exists (select from waybill.cron_jobs j where j.name = r.name) then 'unknown_job'
                      when r.scheduled_at > now() + interval '1 day' then 'future_tick' end as reason
      from waybill.cron_runs r
     where r.status = 'dispatched' and r.dispatched_at < now() - interval '1 minute'
       and not exists (select from waybill.outbox_messages m where m.id = r.message_id)
     limit $1 for update skip locked)
  update waybill.cron_runs r
     set status = case when o.reason is null then 'failed' else 'skipped' end, reason = o.reason, finished_at = now(),
         error = case when o.reason is null then 'message_missing: the message of this run is gone' end
    from orphans o where r.id = o.id
  returning r.id`;

/** A cursor far ahead was set by a wrong clock. The job goes on from now; ticks that ran do not run again (invariant G). */
export const bringBackSql = `
  update waybill.cron_jobs set cursor_at = now(), next_at = now() where cursor_at > now() + interval '1 day'`;

/** Marks ended runs that no metric has counted, and counts them by job. Values: rows. */
export const tellSql = `
  with told as (
    update waybill.cron_runs set told = true where id in (
      select id from waybill.cron_runs where not told and status <> 'dispatched' order by id limit $1 for update skip locked)
    returning name, status)
  select name, status, count(*)::int as n from told group by name, status`;

/** Values: retention in ms. Ids are time-ordered: it walks the primary key from the oldest. */
const oldRuns = `
     from waybill.cron_runs
     where id < (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid
       and finished_at < now() - $1 * interval '1 millisecond'`;

const oldManifests = `
  from waybill.cron_manifests where status <> 'active' and staged_at < now() - $1 * interval '1 millisecond'
     and hash not in (select manifest from waybill.cron_loaded)`;

/** Values: retention in ms, rows. */
export const pruneRunsSql = `
  delete from waybill.cron_runs where id in (select id ${oldRuns} order by id limit $2 for update skip locked)
  returning id`;

export const pruneManifestsSql = `delete ${oldManifests}`;

type Look = Readonly<Record<'lapsed' | 'untold' | 'ahead' | 'pastRuns' | 'pastManifests', boolean>>;

/**
 * Whether the statements above have work; an idle sweep runs nothing else. Values: retention, ms until stale. The order keeps Postgres on the
 * indexes: for an exists it may read the table.
 */
export const lookSql = `
  select exists (select from waybill.cron_runs
                  where status = 'dispatched' and dispatched_at < now() - $2 * interval '1 millisecond') as lapsed,
         (select true from waybill.cron_runs where not told and status <> 'dispatched' order by id limit 1) is not null as untold,
         exists (select from waybill.cron_jobs where cursor_at > now() + interval '1 day') as ahead,
         (select true ${oldRuns} order by id limit 1) is not null as "pastRuns",
         exists (select ${oldManifests}) as "pastManifests"`;

export type CronSweepPorts = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly retentionMs: Milliseconds;
};

const batch = 500;
const interval: Milliseconds = 5_000;

export function createCronSweep(ports: CronSweepPorts): () => Promise<Milliseconds> {
  const { db, events, observe, retentionMs } = ports;
  const rows = async (sql: string, values: readonly unknown[] = []): Promise<number> =>
    (await db.executeSql(sql, values)).rows.length;

  async function tell(): Promise<number> {
    const told = await db.executeSql<{ name: string; status: string; n: number }>(tellSql, [batch]);
    for (const { name, status, n } of told.rows) events.cronEnded(name, status, n);
    return told.rows.length;
  }

  return async function cronSweepStep() {
    const look = (await db.executeSql<Look>(lookSql, [retentionMs, staleMs])).rows[0]!;
    const stale = look.lapsed ? await rows(skipStaleSql, [staleMs, absentMs, batch]) : 0;
    const orphans = look.lapsed ? await rows(endOrphansSql, [batch]) : 0;
    if (look.ahead) await rows(bringBackSql);
    const told = look.untold || stale + orphans > 0 ? await tell() : 0;
    const pruned = look.pastRuns ? await rows(pruneRunsSql, [retentionMs, batch]) : 0;
    if (look.pastManifests) await rows(pruneManifestsSql, [retentionMs]);
    observe('swept runs', { stale, orphans, pruned });
    return told >= batch || pruned >= batch ? 0 : interval;
  };
}
