// The record of which prefetched messages of a worker have begun. It is written before they begin, so that a crash uses up an attempt of
// these messages only (invariant E). All share one small row: marking each message's row would add a row version, a fifth of the cost of
// delivering a no-op job.

import type { Executor } from '../db/executor.ts';

/**
 * Values: worker, part, ids (the last 32 bits of each). The commit does not wait for the disk: to lose it, server and worker must crash at
 * the same moment.
 */
export const markBegunSql = `
  with quickly as (select set_config('synchronous_commit', 'off', true))
  insert into waybill.outbox_begun (worker, part, ids) select $1, $2, $3::int[] from quickly
  on conflict (worker, part) do update set ids = excluded.ids, at = now()`;

export type Begun = {
  /** Resolves when these messages may begin. One statement writes all messages that have begun and not ended. */
  mark(ids: readonly string[]): Promise<void>;
  ended(id: string): void;
};

/** @param part distinguishes the workers of one process */
export function createBegun(db: Executor, worker: string, part: string): Begun {
  const begun = new Map<string, number>(); // id → its last 32 bits
  return {
    async mark(ids) {
      for (const id of ids) begun.set(id, Number.parseInt(id.slice(-8), 16) | 0);
      const bits = `{${Array.from(begun.values()).join(',')}}`;
      await db.executeSql(markBegunSql, [worker, part, bits], db.isPlanned);
    },
    ended: (id) => void begun.delete(id),
  };
}

/** The last 32 bits of an id. `m`: the row's alias in the statement. */
export const bitsSql = (m: string): string => `('x' || right(${m}.id::text, 8))::bit(32)::int`;

/** Condition on a row of waybill.outbox_messages: its worker recorded that it may have begun. `m`: the row's alias in the statement. */
export const isMarkedSql = (m: string): string =>
  `exists (select from waybill.outbox_begun b
            where b.worker = ${m}.claimed_by and ${bitsSql(m)} = any(b.ids))`;
