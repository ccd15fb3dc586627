// What waits and what is due, in which queues at which priorities. A claim takes a message out of the index of what waits, a failed attempt puts
// it back. Suspects wait there too, and have an index of their own: they run alone (invariant F). Everything here selects by state, never by
// position: `id > last_seen` loses rows whose transactions commit late.

import { guard } from '../message/transitions.ts';
import type { Executor } from '../db/executor.ts';
import { arrayText, flagOf, numberOf, textOf } from '../db/values.ts';

/** Condition of the index outbox_waiting. @param m the row's name in the statement, with a dot */
export const waits = (m = ''): string => `${m}relayed_at is null and ${m}cancelled_at is null`;

/**
 * The planner believes that half of the rows pass a CASE. Of the same conditions apart it multiplies what it knows of each: with statistics in which
 * most rows are settled it expects fewer than the limit, reads all that waits, sorts it, and (at such a cost) compiles the plan.
 */
export const half = (condition: string): string => `case when ${condition} then true end`;

/** A row that waits as the engine leaves one; every other was edited by hand. */
const isSound = (m: string): string =>
  `${guard('claim', `${m}status`)} and ${m}attempts < ${m}max_attempts and ${m}delivered_at is null and ${m}dead_at is null`;

/** It may be claimed beside others. @param and a further condition */
export const waiting = (m = '', and = ''): string =>
  `${waits(m)} and ${half(`${isSound(m)} and ${m}expirations < 2${and && ` and ${and}`}`)}`;

// The rest of the condition is in a CASE, so that nothing but the index of suspects fits: that of what waits is as long as the backlog.
/** Its lease expired twice: it may be claimed by a worker that runs nothing else. */
export const suspect = (m = ''): string => `${m}expirations > 1 and ${half(`${waits(m)} and ${isSound(m)}`)}`;

/** It was a suspect, and was edited so that no claim takes it. */
export const oddSuspect = (m = ''): string => `${m}expirations > 1 and ${half(`${waits(m)} and ${odd(m)}`)}`;

/** It was edited so that no claim takes it. */
export const odd = (m = ''): string => `not (${isSound(m)})`;

/** Claimed, or an edited row that looks like it. The condition of the index outbox_in_flight. */
export const inFlight = (m = ''): string =>
  `${m}relayed_at is not null and ${m}delivered_at is null and ${m}dead_at is null and ${m}cancelled_at is null`;

export type Place = { readonly queue: string; readonly priority: number };

/**
 * `place(queue, priority)`: every queue at a priority in which something waits, in descending order, found by stepping through the index (a loose
 * scan): what it costs depends on the number of places, not of messages.
 */
export const places = `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waits()} order by queue desc, priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waits('w.')} and (w.queue, w.priority) < (place.queue, place.priority)
       order by w.queue desc, w.priority desc limit 1) next)`;

/** The same in one queue, an expression. */
export const placesOf = (queue: string): string => `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waits()} and queue = ${queue} order by priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waits('w.')} and w.queue = place.queue and w.priority < place.priority
       order by w.priority desc limit 1) next)`;

/**
 * Something is due at a place. From the last one on: claimed rows lie at the head, and an index keeps their entries while a transaction may see
 * them. Not `exists`, for which Postgres drops the order, and may read the table.
 */
export const isDue = (queue: string, priority: string): string => `
  (select true from waybill.outbox_messages
    where ${waiting()} and queue = ${queue} and priority = ${priority} and available_at <= now()
    order by available_at desc limit 1) is not null`;

const held = 'held_until > now()';

/** Condition on a row of waybill.queues. */
export const isClosed = `(paused_at is not null or parked_at is not null or ${held})`;

/** Parked and nothing else, and the time for a probe has come. Condition on a row `q` of waybill.queues. */
export const mayProbe = `(q.parked_at is not null and q.paused_at is null and (q.${held}) is not true and q.probe_at <= now()
  and not exists (select from waybill.outbox_messages p
                   where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now()))`;

/** The queue is open. */
export const isOpen = (queue: string): string =>
  `${queue} <> all(array(select name from waybill.queues where ${isClosed}))`;

/**
 * The same for one queue that a parameter names. It goes through the primary key: where sequential scans are disabled, one that has no alternative
 * adds 1e10 to the cost of its plan before Postgres 18, and with `jit = on` the plan is compiled at each execution (1 s instead of 1 ms).
 */
export const isOpenAlone = (parameter: string): string =>
  `not exists (select from waybill.queues where name = ${parameter} and ${isClosed})`;

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
