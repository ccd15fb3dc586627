// How many messages a filter matches, counted up to a bound.

import type { Executor } from '../db/executor.ts';
import type { MessageFilter } from './filter.ts';
import { boundOf, fromOf, lastRead, searchOf, type Bound } from './search.ts';

export const mostCounted = 100_000;

export type Count = {
  readonly count: number;
  /** There are at least this many: the count ended at its bound, or the search did. */
  readonly atLeast?: true;
  readonly bound?: Bound;
};

/** Counts up to 100,000 messages. Filters without an index count among the newest that the others leave (./search.ts). */
export async function countMessages(db: Executor, filter: MessageFilter): Promise<Count> {
  const search = await searchOf(db, filter);
  const sql = `select count(*)::int as n from (select from ${fromOf(search, 'desc')} limit ${mostCounted + 1}) c`;
  const n = (await db.executeSql<{ n: number }>(sql, search.values)).rows[0]?.n ?? 0;
  const reached = search.bounded.length > 0 && (await lastRead(db, search, 'desc')) !== null;
  const bound = boundOf(search, reached);
  return {
    count: Math.min(n, mostCounted),
    ...((n > mostCounted || reached) && { atLeast: true }),
    ...(bound && { bound }),
  };
}
