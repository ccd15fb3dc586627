// What waits or is under way, by kind and name: what a registry must know. It looks at the first rows of each lane alone, so that it
// costs the same however much waits (invariant I).

import type { Executor } from '../db/executor.ts';
import { lanes } from './lanes.ts';
import type { Kind } from './message.ts';

/** Rows of one lane, and rows under way, that are looked at. */
const depth = 1_000;

export const waitingNamesSql = `
  with recursive ${lanes},
  seen as (
    (select w.kind, w.name from lane cross join lateral (
       select kind, name from waybill.outbox_messages
        where relayed_at is null and cancelled_at is null and queue = lane.queue and priority = lane.priority
        order by available_at limit $1) w)
    union all
    (select kind, name from waybill.outbox_messages
      where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null
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
