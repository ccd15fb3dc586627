// The kinds and names of messages that wait or are in flight, which a registry must define. Only the first rows of each queue at each priority
// are read, so that the cost does not grow with the backlog (invariant I).

import type { Executor } from '../db/executor.ts';
import type { Kind } from '../message/message.ts';
import { inFlight, places, waits } from '../outbox/waiting.ts';

/** Number of rows read for each place, and of those in flight. */
const depth = 1_000;

export const waitingNamesSql = `
  with recursive ${places},
  seen as (
    (select w.kind, w.name from place cross join lateral (
       select kind, name from waybill.outbox_messages
        where ${waits()} and queue = place.queue and priority = place.priority
        order by group_key, available_at limit $1) w)
    union all
    (select kind, name from waybill.outbox_messages
      where ${inFlight()}
      order by relayed_at limit $1))
  select kind, name, count(*)::int as messages from seen group by kind, name order by kind, name`;

export type WaitingName = {
  readonly kind: Kind;
  readonly name: string;
  /** Number among the rows read; there may be more. */
  readonly messages: number;
};

export async function readWaitingNames(db: Executor): Promise<WaitingName[]> {
  return (await db.executeSql<WaitingName>(waitingNamesSql, [depth])).rows;
}
