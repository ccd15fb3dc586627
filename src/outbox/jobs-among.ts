// Which of some messages are of certain jobs: asked before a claim, when a job's concurrency is limited.

import type { Executor } from '../db/executor.ts';

/** Which of these messages are of these jobs: ids, names. */
export const jobsAmongSql = `
  select id, name from waybill.outbox_messages where id = any($1::uuid[]) and kind = 'job' and name = any($2)`;

/** Gives the job's name for each message that is of one of them. */
export async function jobsAmong(
  tx: Executor,
  ids: readonly string[],
  names: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await tx.executeSql<{ id: string; name: string }>(jobsAmongSql, [ids, names]);
  return new Map(rows.map(({ id, name }) => [id, name]));
}
