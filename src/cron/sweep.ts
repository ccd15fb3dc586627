// What happens to runs that nobody ends, to the metrics of those that have ended, and to those past their retention.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { guard } from '../outbox/transitions.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { absentMs } from './activation.ts';

/** A tick whose manifest no worker has had for so long is skipped. A deployment that brings such a worker is quicker. */
export const staleMs: Milliseconds = 60_000;

/**
 * Ticks of a manifest that no worker knows, while there are workers (without any, they wait): their messages are cancelled, which only
 * what nobody holds can be. Milliseconds: stale after, absent after; rows.
 */
export const skipStaleSql = `
  with stale as (
    select message_id from waybill.cron_runs r
     where status = 'dispatched' and dispatched_at < now() - $1 * interval '1 millisecond'
       and exists (select from waybill.cron_loaded l where l.delivers and l.seen_at > now() - $2 * interval '1 millisecond')
       and not exists (select from waybill.cron_loaded l
                        where l.delivers and l.manifest = r.manifest and l.seen_at > now() - $1 * interval '1 millisecond')
     limit $3),
  cancelled as (
    update waybill.outbox_messages m
       set status = 'cancelled', cancelled_at = now(), last_error = 'stale_manifest: no worker has the manifest of this tick'
     where m.id = any(array(select message_id from stale)) and ${guard('cancel', 'm.status')}
    returning m.id)
  update waybill.cron_runs set status = 'skipped', reason = 'stale_manifest', finished_at = now()
   where message_id = any(array(select id from cancelled)) and status = 'dispatched'
  returning id`;

/** Rows that were edited by hand, or whose message was: nothing would ever end them. */
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

/** A cursor far ahead: the clock was wrong when it was set. The job goes on from now; ticks that ran do not run again (invariant G). */
export const bringBackSql = `
  update waybill.cron_jobs set cursor_at = now(), next_at = now() where cursor_at > now() + interval '1 day'`;

/** Ends that no metric has counted, by job. */
export const tellSql = `
  with told as (
    update waybill.cron_runs set told = true where id in (
      select id from waybill.cron_runs where not told and status <> 'dispatched' order by id limit $1 for update skip locked)
    returning name, status)
  select name, status, count(*)::int as n from told group by name, status`;

/** Retention in ms; rows. Ids are time-ordered: the primary key is walked from its old end. */
export const pruneRunsSql = `
  delete from waybill.cron_runs where id in (
    select id from waybill.cron_runs
     where id < (lpad(to_hex((extract(epoch from now()) * 1000 - $1::float8)::bigint), 12, '0') || repeat('0', 20))::uuid
       and finished_at < now() - $1 * interval '1 millisecond'
     order by id limit $2 for update skip locked)
  returning id`;

export const pruneManifestsSql = `
  delete from waybill.cron_manifests where status <> 'active' and staged_at < now() - $1 * interval '1 millisecond'
     and hash not in (select manifest from waybill.cron_loaded)`;

export type CronSweepPorts = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly retentionMs: Milliseconds;
};

const batch = 500;
const interval: Milliseconds = 5_000;

/** Gives the loop's body. */
export function createCronSweep({
  db,
  events,
  observe,
  retentionMs,
}: CronSweepPorts): () => Promise<Milliseconds> {
  return async function cronSweepStep() {
    const stale = await db.executeSql(skipStaleSql, [staleMs, absentMs, batch]);
    const orphans = await db.executeSql(endOrphansSql, [batch]);
    await db.executeSql(bringBackSql);
    const { rows: told } = await db.executeSql<{ name: string; status: string; n: number }>(tellSql, [batch]);
    for (const { name, status, n } of told) events.cronEnded(name, status, n);
    const pruned = await db.executeSql(pruneRunsSql, [retentionMs, batch]);
    await db.executeSql(pruneManifestsSql, [retentionMs]);
    const counts = { stale: stale.rows.length, orphans: orphans.rows.length, pruned: pruned.rows.length };
    observe('swept runs', counts);
    return told.length >= batch || counts.pruned >= batch ? 0 : interval;
  };
}
