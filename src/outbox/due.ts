// Where something is due: what workers learn when they poll, and drains before they claim. It selects by state, never by position: who
// remembers `id > last_seen` loses rows whose transactions commit late (FACTS 1).

import type { Executor } from '../db/executor.ts';
import { arrayText, flagOf, numberOf, textOf } from '../db/values.ts';
import { isOpen, mayProbe } from './closed.ts';
import { isDue, places, suspect, waits, type Place } from './waiting.ts';

export type DuePlace = Place & {
  /** Suspects of the queue, at any priority. */
  readonly suspects: boolean;
  /** The queue is parked, and one message may try whether it can be opened. */
  readonly probe: boolean;
};

/** Queues as an array, or null for all. */
export const dueSql = `
  with recursive ${places},
  ready as materialized (
    select queue, priority from place
     where ($1::text is null or queue = any($1::text::text[])) and ${isDue('place.queue', 'place.priority')}),
  apart as materialized (
    select distinct queue from waybill.outbox_messages
     where ${suspect()} and available_at <= now() and ($1::text is null or queue = any($1::text::text[])))
  select queue, priority::text as priority, 'f' as suspects, 'f' as probe from ready where ${isOpen('queue')}
  union all
  select queue, '0', 't', 'f' from apart where ${isOpen('queue')}
  union all
  select q.name, '0', case when q.name = any(array(select queue from ready)) then 'f' else 't' end, 't'
    from waybill.queues q
   where (q.name = any(array(select queue from ready)) or q.name = any(array(select queue from apart))) and ${mayProbe}`;

/** @param queues only these; default: all */
export async function findDue(db: Executor, queues?: readonly string[]): Promise<DuePlace[]> {
  const { rows } = await db.executeSql(dueSql, [queues ? arrayText(queues) : null]);
  return rows.map((row) => ({
    queue: textOf(row['queue']),
    priority: numberOf(row['priority']),
    suspects: flagOf(row['suspects']),
    probe: flagOf(row['probe']),
  }));
}

/** How many are due in each open queue at each priority, edited rows too; counting ends at the limit. */
export const countDueSql = `
  with recursive ${places}
  select place.queue, place.priority, n.due
    from place cross join lateral (
      select count(*)::int as due from (
        select from waybill.outbox_messages p
         where p.queue = place.queue and p.priority = place.priority and p.available_at <= now() and ${waits('p.')}
         order by p.available_at desc limit $1) w) n
   where ${isOpen('place.queue')} and n.due > 0`;

export type DueCount = Place & { readonly due: number };

export async function countDue(db: Executor, limit: number): Promise<DueCount[]> {
  return (await db.executeSql<DueCount>(countDueSql, [limit])).rows;
}
