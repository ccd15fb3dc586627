// What has changed since somebody looked, so that a page or a program reads again only then. One statement that costs the same whatever the tables hold.

import { createHash } from 'node:crypto';
import type { Executor } from '../db/executor.ts';
import { isAlive } from '../db/liveness.ts';
import { inFlight } from '../outbox/waiting.ts';

/** What can change: `recorded`, `ended` and `running` are of messages; `processes` start, end, become silent, or are quieted. */
export const changing = [
  'recorded',
  'ended',
  'running',
  'notes',
  'queues',
  'acts',
  'bulk',
  'cron',
  'processes',
] as const;
export type Changing = (typeof changing)[number];

/** A short text for each; another text means that something of it has changed. */
export type Snapshot = Readonly<Record<Changing, string>>;

/** A delivery that runs is seen among so many; with more of them, ends show that work goes on. */
const mostInFlight = 1_000;

/**
 * Values: ids of sessions. The columns of queues are those that pages show: a limiter changes others with each claim. A process that was silent for ten
 * seconds counts as another fleet.
 */
export const changesSql = `
  select (select m.id::text from waybill.outbox_messages m order by m.id desc limit 1) as recorded,
         (select max(id)::text from waybill.outbox_audit) as ended,
         (select format('%s %s', count(*), max(claimed_at)) from (
            select claimed_at from waybill.outbox_messages where ${inFlight()} limit ${mostInFlight}) f) as running,
         (select max(id)::text from waybill.outbox_notes) as notes,
         (select md5(string_agg(format('%s %s %s %s %s %s', name, paused_at, paused_until, parked_at, held_until, limits), ' ' order by name)) from waybill.queues)
         || (select coalesce(md5(string_agg(format('%s %s', name, parked_at), ' ' order by name)), '') from waybill.email_providers) as queues,
         (select max(id)::text from waybill.audit) as acts,
         (select format('%s %s', count(*), max(worked_at)) from waybill.bulk_acts where state = 'running') as bulk,
         (select r.id::text from waybill.cron_runs r order by r.id desc limit 1) as cron,
         (select format('%s %s %s %s', count(*), max(started_at), max(quiet_at), count(*) filter (where ${isAlive})) from waybill.processes) as processes,
         (select coalesce(array_agg(id), '{}') from waybill.ended_sessions where id = any($1::text[])) as "endedSessions"`;

/**
 * @param sessions ids of sessions of the console that are open here
 * @returns the snapshot, and those of the sessions that were signed out
 */
export async function readChanges(
  db: Executor,
  sessions: readonly string[],
): Promise<{ readonly snapshot: Snapshot; readonly endedSessions: readonly string[] }> {
  type Row = Record<Changing, string | null> & { readonly endedSessions: readonly string[] };
  const [row] = (await db.executeSql<Row>(changesSql, [sessions])).rows;
  const { endedSessions, ...texts } = row!;
  const short = (text: string | null): string =>
    createHash('sha256')
      .update(text ?? '')
      .digest('base64url')
      .slice(0, 8);
  return { snapshot: snapshotOf((name) => short(texts[name])), endedSessions };
}

function snapshotOf(textOf: (name: Changing, place: number) => string): Snapshot {
  return Object.fromEntries(changing.map((name, i) => [name, textOf(name, i)])) as Snapshot;
}

/** A snapshot as one text, for the address of a stream. */
export function snapshotText(snapshot: Snapshot): string {
  return changing.map((name) => snapshot[name]).join('.');
}

/** @returns undefined for a text that is no snapshot */
export function readSnapshot(text: string): Snapshot | undefined {
  const parts = text.split('.');
  const isOne = parts.length === changing.length && parts.every((part) => /^[\w-]{8}$/.test(part));
  return isOne ? snapshotOf((_, place) => parts[place]!) : undefined;
}

/** What differs between two snapshots. */
export function changesBetween(before: Snapshot, now: Snapshot): Changing[] {
  return changing.filter((name) => before[name] !== now[name]);
}
