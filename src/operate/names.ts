// What waits or is under way, by kind and name: what a registry must know. It looks at the first rows of each queue and priority alone, so that it
// costs the same however much waits (invariant I).

import type { Executor } from '../db/executor.ts';
import type { Kind } from '../message/message.ts';
import { inFlight, places, waits } from '../outbox/waiting.ts';

/** Rows of one queue and priority, and rows under way, that are looked at. */
const depth = 1_000;

export const waitingNamesSql = `
  with recursive ${places},
  seen as (
    (select w.kind, w.name from place cross join lateral (
       select kind, name from waybill.outbox_messages
        where ${waits()} and queue = place.queue and priority = place.priority
        order by available_at limit $1) w)
    union all
    (select kind, name from waybill.outbox_messages
      where ${inFlight()}
      order by relayed_at limit $1))
  select kind, name, count(*)::int as messages from seen group by kind, name order by kind, name`;

export type WaitingName = {
  readonly kind: Kind;
  readonly name: string;
  /** Of those that were looked at: at least so many. */
  readonly messages: number;
};

export async function readWaitingNames(db: Executor): Promise<WaitingName[]> {
  return (await db.executeSql<WaitingName>(waitingNamesSql, [depth])).rows;
}
