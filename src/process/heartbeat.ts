// A process's own row: that it lives, what it is, what it does.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';

export type Counts = {
  /** Deliveries at a time; 0 for a process that delivers nothing. */
  slots: number;
  busy: () => number;
  queues: string[];
};

export type ProcessRow = {
  readonly id: string;
  readonly role: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
};

export const beatSql = `
  insert into waybill.processes (id, role, host, pid, version, queues, slots, busy)
  values ($1, $2, $3, $4, $5, $6, $7, $8)
  on conflict (id) do update set queues = excluded.queues, slots = excluded.slots, busy = excluded.busy, heartbeat_at = now()`;

/** Rows of processes that ended without a word go after this. */
const forgottenMs: Milliseconds = 3_600_000;

export async function beat(db: Executor, row: ProcessRow, counts: Counts): Promise<void> {
  const values = [
    row.id,
    row.role,
    row.host,
    row.pid,
    row.version,
    counts.queues,
    counts.slots,
    counts.busy(),
  ];
  await db.executeSql(beatSql, values);
}

/** On leaving: the own row, and those that nobody will ever remove. */
export async function leave(db: Executor, id: string): Promise<void> {
  const sql = `delete from waybill.processes where id = $1 or heartbeat_at < now() - $2 * interval '1 millisecond'`;
  await db.executeSql(sql, [id, forgottenMs]);
}

export type ProcessSeen = ProcessRow & {
  readonly startedAt: Date;
  readonly heartbeatAgeSeconds: number;
  readonly queues: readonly string[];
  readonly slots: number;
  readonly busy: number;
};

/** Everybody, the longest silent last. */
export async function fleet(db: Executor): Promise<ProcessSeen[]> {
  const sql = `select id, role, host, pid, version, queues, slots, busy, started_at as "startedAt",
      extract(epoch from now() - heartbeat_at)::float8 as "heartbeatAgeSeconds"
    from waybill.processes order by heartbeat_at desc, id`;
  return (await db.executeSql<ProcessSeen>(sql)).rows;
}
