// Sessions that were signed out, and links that were used: each is refused from then on, by every web process.

import type { Executor } from '../db/executor.ts';

/** Values: id, end in ms of the epoch. Rows whose end has passed are refused anyway, and go. */
export const endSessionSql = `
  with old as (delete from waybill.ended_sessions where until < now())
  insert into waybill.ended_sessions (id, until) values ($1, to_timestamp($2 / 1000.0)) on conflict (id) do nothing returning id`;

/** @returns false when it had ended before */
async function endSession(
  db: Executor,
  { id, until }: { readonly id: string; readonly until: number },
): Promise<boolean> {
  return (await db.executeSql(endSessionSql, [id, until])).rows.length === 1;
}

/** Values: id. */
export const isEndedSql = `select true as ended from waybill.ended_sessions where id = $1`;

export async function isEnded(db: Executor, id: string): Promise<boolean> {
  return (await db.executeSql(isEndedSql, [id])).rows.length === 1;
}

/**
 * In every database of the process, because a session is valid for all of them.
 * @param onAway called for a database that does not answer while another does
 * @returns false when it had ended before in one
 */
export async function endSessionIn(
  databases: readonly Executor[],
  session: { readonly id: string; readonly until: number },
  onAway: (error: unknown) => void,
): Promise<boolean> {
  const ends = await Promise.allSettled(databases.map((db) => endSession(db, session)));
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  if (failures.length === ends.length) throw failures[0];
  failures.forEach(onAway);
  return !ends.some((end) => end.status === 'fulfilled' && !end.value);
}
