// The relay's statement: what is due. It selects by state, never by position: a relay that remembers `id > last_seen` loses rows whose
// transactions commit late (FACTS 1).

import type { Executor } from '../db/executor.ts';
import { lanes } from './lanes.ts';
import { isOpen } from './gate.ts';

export type DueMessage = {
  readonly id: string;
  readonly queue: string;
  readonly priority: number;
  readonly attempts: number;
  /** Leases of it that ran out. */
  readonly expirations: number;
  readonly maxAttempts: number;
  readonly traceparent: string | null;
  /** Seconds since it became due. */
  readonly lag: number;
};

/** What the relay needs of a row, as `DueMessage` names it. */
export const dueColumns = `m.id, m.queue, m.priority, m.attempts, m.expirations, m.max_attempts as "maxAttempts", m.traceparent`;

/**
 * Takes due messages and stamps them, best first: by queue, up to `room` of each. Rows of closed queues and of the lanes named stay.
 * Part of the relay's transaction: what cannot be put into the queue afterwards is not stamped.
 */
export const takeDueSql = `
  with recursive ${lanes},
  found as (
    select w.id, lane.queue, row_number() over (partition by lane.queue order by lane.priority desc, w.available_at) as place
      from lane cross join lateral (
        select id, available_at from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and queue = lane.queue and priority = lane.priority
           and available_at <= now()
         order by available_at limit least($3, coalesce(($2::int[])[array_position($1::text[], lane.queue)], $3))
         for update skip locked) w
     where ${isOpen('lane.queue')}
       and not exists (select from unnest($4::text[], $5::int[]) as o(queue, priority)
                        where o.queue = lane.queue and o.priority = lane.priority)),
  due as (
    select id from found
     where place <= least($3, coalesce(($2::int[])[array_position($1::text[], queue)], $3)))
  update waybill.outbox_messages m set relayed_at = now(), revision = m.revision + 1 where m.id = any(array(select id from due))
  returning ${dueColumns},
            date_part('epoch', now() - greatest(m.created_at, m.available_at)) as lag`;

/** @param room messages that each queue may still take; queues that are not named take up to `limit`, which bounds every queue
 * @param except lanes */
export async function takeDue(
  tx: Executor,
  room: ReadonlyMap<string, number>,
  limit: number,
  except: readonly { readonly queue: string; readonly priority: number }[] = [],
): Promise<DueMessage[]> {
  const others = [except.map(({ queue }) => queue), except.map(({ priority }) => priority)];
  const values = [[...room.keys()], [...room.values()], limit, ...others];
  return (await tx.executeSql<DueMessage>(takeDueSql, values)).rows;
}
