// What waits, and in which queues at which priorities. A claim takes a message out of the index of what waits, a failed attempt puts it back.
// Suspects wait there too, and have an index of their own: they run alone (invariant F).

import { guard } from './transitions.ts';

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
