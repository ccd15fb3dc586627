// What has begun of what a worker prefetched: written before it begins, so that a crash charges it (invariant E) and nothing else. One small row
// for all of it: a mark in each message's row would be one version of it more, a fifth of what delivering a no-op job costs.

import type { Executor } from '../db/executor.ts';

/**
 * Worker, part, ids. Losing this commit needs a crash of the server and of the worker in the same moment, so it does not wait for the disk.
 * An id is known by its last 32 bits.
 */
export const markBegunSql = `
  with quickly as (select set_config('synchronous_commit', 'off', true))
  insert into waybill.outbox_begun (worker, part, ids) select $1, $2, $3::int[] from quickly
  on conflict (worker, part) do update set ids = excluded.ids, at = now()`;

export type Begun = {
  /** Resolves when these may begin: one statement writes down all that has begun of what was prefetched, and has not ended. */
  mark(ids: readonly string[]): Promise<void>;
  ended(id: string): void;
};

/** @param part tells the workers of one process apart */
export function createBegun(db: Executor, worker: string, part: string): Begun {
  const begun = new Map<string, number>(); // by id, what it is known by
  return {
    async mark(ids) {
      for (const id of ids) begun.set(id, Number.parseInt(id.slice(-8), 16) | 0);
      const bits = `{${Array.from(begun.values()).join(',')}}`;
      await db.executeSql(markBegunSql, [worker, part, bits], db.isPlanned);
    },
    ended: (id) => void begun.delete(id),
  };
}

/** What an id is known by. `m`: the message's name in the statement. */
export const bitsSql = (m: string): string => `('x' || right(${m}.id::text, 8))::bit(32)::int`;

/** Condition on a row of waybill.outbox_messages: its worker has written down that it may have begun. `m`: its name in the statement. */
export const isMarkedSql = (m: string): string =>
  `exists (select from waybill.outbox_begun b
            where b.worker = ${m}.claimed_by and ${bitsSql(m)} = any(b.ids))`;
