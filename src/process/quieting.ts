// Quieting a process of the fleet, and letting it go on: what is written to its row, and the NOTIFY to it.

import type { Executor } from '../db/executor.ts';
import { timeText } from '../db/values.ts';
import { WaybillError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { workerChannel } from '../outbox/notify.ts';
import type { PauseEnd } from '../queues/queues.ts';

/** Values: id, person, reason, end (or null), ms until the end (or null). */
export const quietSql = `
  update waybill.processes p
     set quiet_at = now(), quiet_by = $2, quiet_reason = $3,
         quiet_until = coalesce($4::text::timestamptz, now() + ($5::float8 * interval '1 millisecond'))
   where id = $1 and slots > 0 and coalesce(coalesce($4::text::timestamptz, now() + ($5::float8 * interval '1 millisecond')) > now(), true)
  returning pg_notify('${workerChannel}', 'quiet ' || id)`;

export const goOnSql = `
  update waybill.processes set quiet_at = null, quiet_by = null, quiet_reason = null, quiet_until = null
   where id = $1 returning pg_notify('${workerChannel}', 'resume ' || id)`;

/**
 * The process claims nothing more until the end, until it is resumed, or until it ends. What it has in hand finishes.
 * @throws WaybillError `unknown_process`, `state_conflict` for one that delivers nothing, `invalid_pause` when the end has passed
 */
export async function quietProcess(
  db: Executor,
  id: string,
  { by, reason, until, forMs }: { readonly by: string; readonly reason: string | null } & PauseEnd,
): Promise<void> {
  const { rows } = await db.executeSql(quietSql, [id, by, reason, timeText(until), forMs ?? null]);
  if (rows.length > 0) return;
  const { slots } = await findProcess(db, id);
  if (slots === 0)
    throw new WaybillError(
      'state_conflict',
      `the process ${id} delivers no messages: there is nothing to quiet`,
    );
  throw new WaybillError('invalid_pause', 'the end has passed already: give a time to come');
}

/** @throws WaybillError `unknown_process` */
export async function resumeProcess(db: Executor, id: string): Promise<void> {
  if ((await db.executeSql(goOnSql, [id])).rows.length === 0) await findProcess(db, id);
}

async function findProcess(db: Executor, id: string): Promise<{ readonly slots: number }> {
  type Row = { readonly id: string; readonly slots: number };
  const { rows } = await db.executeSql<Row>(
    'select id, slots from waybill.processes order by heartbeat_at desc limit 1000',
  );
  const found = rows.find((row) => row.id === id);
  if (found) return found;
  const meant = nearest(
    id.slice(0, 200),
    rows.map((row) => row.id),
  );
  const hint = meant ? `did you mean ${meant}?` : '`waybill fleet` lists them';
  throw new WaybillError(
    'unknown_process',
    `there is no process ${JSON.stringify(id.slice(0, 200))}: ${hint}`,
  );
}
