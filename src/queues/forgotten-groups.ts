// Groups of which nothing need be known any more. With a limit or a circuit, a row stays behind for each group that ever had a message, and a claim under
// a rate for each group reads those of its queue: they must not grow with the years.

import type { Executor } from '../db/executor.ts';
import { forgotten } from './circuit.ts';

/** A start that is older than this leaves the whole burst, as does no row (`queue_room` in sql/0003_queues.sql). A minute more, for what is under way. */
const rateReach = `(interval '1 minute' + coalesce((
    select (q.limits -> 'groupRate' ->> 'burst')::float8 * waybill.group_spacing(q.limits -> 'groupRate')
      from waybill.queues q where q.name = g.queue), interval '0'))`;

/** Value: rows. Not those that are paused, parked, held, or failed lately. */
export const pruneGroupsSql = `
  delete from waybill.queue_groups where ctid = any(array(
    select g.ctid from waybill.queue_groups g
     where g.parked_at is null and coalesce(g.held_until <= now(), true) and coalesce(g.failed_at <= (now() - ${forgotten}), true)
       and (g.paused_at is null or coalesce(g.paused_until <= now(), false)) and g.next_at < (now() - ${rateReach})
     limit $1 for update of g skip locked))
  returning true`;

/** @param limit rows at most @returns how many were deleted */
export async function pruneGroups(db: Executor, limit: number): Promise<number> {
  return (await db.executeSql(pruneGroupsSql, [limit])).rows.length;
}
