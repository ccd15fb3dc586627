// The claim of a message that a person lets through although its queue or group is paused. The limits of the queue and of the group hold, and so do order
// keys: a message behind another one is not due.

import type { Executor } from '../db/executor.ts';
import { claimOf, type Lease } from './claim.ts';
import { claimedOf, type Claimed, type ClaimedRow } from './claimed.ts';
import { half, isHeld, waiting, waits } from './waiting.ts';

const group = `coalesce(m.group_key, '')`;
const startsAt = `room.next[array_position(room.paced, ${group})]`;

/**
 * Claims one of the messages that are named for the queue, and drops the names of those that wait no longer. The list is changed as it is now, not as this
 * statement has read it: a person may add to it meanwhile. The CASE leaves only the primary key to the planner. Values: queue, lease in ms, worker, the limits that the caller knows.
 */
export const claimNamedSql = `
  with room as materialized (select * from waybill.queue_room($1, $4)),
  named as materialized (
    select unnest(run_messages) as id from waybill.queues where name = $1 and parked_at is null and ${isHeld} is not true),
  chosen as materialized (
    select m.ctid, m.id, ${group} as name, ${startsAt} as next_at
      from waybill.outbox_messages m cross join room
     where m.id = any(array(select id from named)) and ${half(`m.queue = $1 and ${waiting('m.')} and m.available_at <= now()`)} and coalesce(room.room > 0, true)
       and coalesce(coalesce(room.taken[array_position(room.groups, ${group})], 0) < room.each, true) and coalesce(${startsAt} <= room.at, true)
     order by m.priority desc, m.available_at limit 1 for update of m skip locked),
  spent as (
    insert into waybill.queue_groups as g (queue, group_key, next_at)
    select $1, c.name, (greatest(c.next_at, (room.at - ((room.burst - 1) * room.spacing))) + room.spacing) from chosen c cross join room
     where room.spacing is not null
    on conflict (queue, group_key) do update set next_at = excluded.next_at),
  over as materialized (
    select id from chosen
    union all
    select n.id from named n where not exists (select from waybill.outbox_messages m where m.id = n.id and ${waits('m.')})),
  dropped as (
    update waybill.queues q
       set run_messages = array(select id from unnest(q.run_messages) as id where id <> all(array(select id from over)))
     where q.name = $1 and exists (select from over))
  ${claimOf('false', '$2', '$3')}`;

/** @param known the limits of the queue that the caller knows, as their text in the database; needed where there is a rate */
export async function claimNamed(
  db: Executor,
  queue: string,
  { leaseMs, workerId }: Lease,
  known: string | null,
): Promise<Claimed[]> {
  const { rows } = await db.executeSql<ClaimedRow>(claimNamedSql, [queue, leaseMs, workerId, known]);
  return claimedOf(rows, { queue });
}
