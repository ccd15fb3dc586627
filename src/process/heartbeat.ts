// The row of a process: its heartbeat, its role and version, and its current work.

import type { Executor } from '../db/executor.ts';
import { goneAfterSeconds, isSilent, isStalled, silentAfterSeconds } from '../db/liveness.ts';
import { momentOf, momentText, withMoments, secondsSince, type Moment } from '../db/moment.ts';
import type { SettingsInForce } from '../config/in-force.ts';
import type { Milliseconds } from '../ports.ts';
import { workersText, type WorkerCounts } from './worker-counts.ts';
import { cleanError } from '../redaction/redact.ts';

export type Counts = {
  /** Empty for a process that delivers nothing. */
  readonly workers: WorkerCounts[];
  /** Suspects that the process runs alone, or makes room for. */
  isolating(): number;
};

export type ProcessRow = {
  readonly id: string;
  readonly role: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  /** Version of the application; null: not known. */
  readonly application?: string | null;
  /** Its settings, without secrets. */
  readonly settings?: SettingsInForce;
};

const isQuiet = 'quiet_at is not null and coalesce(quiet_until > now(), true)';

export const beatSql = `
  insert into waybill.processes (id, role, host, pid, version, queues, slots, busy, stalled, prefetched, settling, isolating, application, settings, workers)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
  on conflict (id) do update
     set queues = excluded.queues, slots = excluded.slots, busy = excluded.busy, stalled = excluded.stalled,
         prefetched = excluded.prefetched, settling = excluded.settling, isolating = excluded.isolating, workers = excluded.workers, heartbeat_at = now()
  returning ${isQuiet} as quiet`;

/** Rows of processes that died are deleted after this time. */
const forgottenMs: Milliseconds = 3_600_000;

/**
 * @param stalled names of stalled loops
 * @returns whether a person has quieted the process
 */
export async function beat(
  db: Executor,
  row: ProcessRow,
  counts: Counts,
  stalled: readonly string[] = [],
): Promise<boolean> {
  const { workers } = counts;
  const sum = (of: (worker: WorkerCounts) => number): number => workers.reduce((n, one) => n + of(one), 0);
  const values = [
    row.id,
    row.role,
    row.host,
    row.pid,
    row.version,
    workers.flatMap(({ queues }) => queues),
    sum(({ slots }) => slots),
    sum((worker) => worker.busy()),
    stalled,
    sum((worker) => worker.prefetched()),
    sum((worker) => worker.settling()),
    counts.isolating(),
    row.application ?? null,
    JSON.stringify(row.settings ?? {}),
    workersText(workers),
  ];
  return (await db.executeSql<{ quiet: boolean }>(beatSql, values)).rows[0]?.quiet === true;
}

export type Standstill = {
  readonly id: string;
  readonly role: string;
  /** Stalled loops; empty for a process that is silent. */
  readonly stalled: readonly string[];
  readonly silentSeconds: number;
};

export const standstillsSql = `
  select id, role, case when ${isSilent} then '{}' else stalled end as stalled,
         ${secondsSince('heartbeat_at')} as "silentSeconds"
    from waybill.processes
   where ${isSilent} or ${isStalled} order by role, id limit 20`;

/** Processes that are silent or have a stalled loop. */
export async function standstills(db: Executor): Promise<Standstill[]> {
  return (await db.executeSql<Standstill>(standstillsSql)).rows;
}

/** When leaving: deletes the process's own rows. */
export async function leave(db: Executor, id: string): Promise<void> {
  await db.executeSql('delete from waybill.outbox_begun where worker = $1', [id]);
  await removeRow(db, id);
  await forgetProcesses(db); // where no relay runs
}

/** What the process had begun stays marked: a failure may have interrupted it. */
export async function removeRow(db: Executor, id: string): Promise<void> {
  await db.executeSql('delete from waybill.processes where id = $1', [id]);
}

/** Deletes old rows of processes that died. */
export async function forgetProcesses(db: Executor): Promise<void> {
  const silent = `delete from waybill.processes where heartbeat_at < now() - $1 * interval '1 millisecond'`;
  await db.executeSql(silent, [forgottenMs]);
  await db.executeSql(`delete from waybill.outbox_begun where at < now() - interval '1 day'`);
}

export type ProcessSeen = ProcessRow & {
  readonly startedAt: Moment;
  readonly heartbeatAgeSeconds: number;
  readonly queues: readonly string[];
  readonly state: ProcessState;
  /** Loops that have finished no step for three of their intervals. */
  readonly stalled: readonly string[];
  readonly settings: SettingsInForce;
  readonly slots: number;
  /** The same as `running`. */
  readonly busy: number;
  readonly running: number;
  readonly prefetched: number;
  readonly settling: number;
  readonly isolating: number;
  /** A person quieted it: it claims nothing more. Null: it claims. */
  readonly quiet: {
    readonly since: Moment;
    readonly by: string;
    readonly reason: string | null;
    /** Null: until it is resumed, or ends. */
    readonly until: Moment | null;
  } | null;
};

/** By the age of its heartbeat. A process that ended normally has no row. */
export type ProcessState = 'alive' | 'silent' | 'gone';

/** All processes, the longest silent last. @param id only this one */
export async function fleet(db: Executor, id: string | null = null): Promise<ProcessSeen[]> {
  const sql = `select id, role, host, pid, version, application, settings, stalled, queues, slots, busy, busy as running, prefetched, settling, isolating,
      case when ${isQuiet} then ${momentText('quiet_at')} end as "quietAt", quiet_by as "quietBy", quiet_reason as "quietReason",
      ${momentText('quiet_until')} as "quietUntil",
      ${momentText('started_at')} as "startedAt", age as "heartbeatAgeSeconds",
      case when age <= ${silentAfterSeconds} then 'alive' when age <= ${goneAfterSeconds} then 'silent' else 'gone' end as state
    from (select *, ${secondsSince('heartbeat_at')} as age from waybill.processes) p
   where $1::text is null or id = $1
   order by age, id`;
  return (await db.executeSql<SeenRow>(sql, [id])).rows.map(seenOf);
}

type SeenRow = Omit<ProcessSeen, 'startedAt' | 'quiet'> & { readonly startedAt: string } & Readonly<
    Record<'quietAt' | 'quietBy' | 'quietReason' | 'quietUntil', string | null>
  >;

function seenOf({ quietAt, quietBy, quietReason, quietUntil, ...row }: SeenRow): ProcessSeen {
  const since = momentOf(quietAt);
  const reason = quietReason === null ? null : cleanError(quietReason);
  const quiet = since === null ? null : { since, by: quietBy ?? '', reason, until: momentOf(quietUntil) };
  return { ...withMoments(row, ['startedAt']), quiet };
}
