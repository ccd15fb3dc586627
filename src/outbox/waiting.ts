// What waits, and in which queues at which priorities. Two partial indexes hold it: what may be claimed beside others, in the order of
// claims, and suspects apart, which run alone (invariant F). A claim takes a message out of both, a failed attempt puts it back.

import { guard } from './transitions.ts';

/** @param m the row's name in the statement, with a dot */
const waits = (m: string): string =>
  `${m}relayed_at is null and ${m}delivered_at is null and ${m}dead_at is null and ${m}cancelled_at is null`;
const isSound = (m: string): string =>
  `${guard('claim', `${m}status`)} and ${m}attempts < ${m}max_attempts and ${m}expirations < 2`;

/** Condition of the index outbox_waiting. */
export const waiting = (m = ''): string => `${waits(m)} and ${isSound(m)}`;

/** Condition of the index outbox_suspects: the lease expired twice; or an edited row can never be claimed, which the sweep mends or ends. */
export const suspect = (m = ''): string => `${waits(m)} and not (${isSound(m)})`;

/** Claimed, or an edited row that looks like it. The condition of the index outbox_in_flight. */
export const inFlight = (m = ''): string =>
  `${m}relayed_at is not null and ${m}delivered_at is null and ${m}dead_at is null and ${m}cancelled_at is null`;

/** Rows of both indexes of what waits. @param and a further condition */
export const eachWaiting = (columns: string, and = ''): string =>
  [waiting(), suspect()]
    .map((which) => `select ${columns} from waybill.outbox_messages where ${which}${and && ` and ${and}`}`)
    .join(' union all ');

export type Place = { readonly queue: string; readonly priority: number };

/**
 * `place(queue, priority)`: every queue at a priority in which something waits, in descending order, found by stepping through the index (a loose
 * scan): what it costs depends on the number of places, not of messages.
 */
export const places = `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waiting()} order by queue desc, priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waiting('w.')} and (w.queue, w.priority) < (place.queue, place.priority)
       order by w.queue desc, w.priority desc limit 1) next)`;

/** The same in one queue, an expression. */
export const placesOf = (queue: string): string => `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waiting()} and queue = ${queue} order by priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waiting('w.')} and w.queue = place.queue and w.priority < place.priority
       order by w.priority desc limit 1) next)`;

/**
 * Something is due at a place. From the last one on: claimed rows lie at the head, and an index keeps their entries while a transaction may see
 * them. Not `exists`, for which Postgres drops the order, and may read the table.
 */
export const isDue = (queue: string, priority: string): string => `
  (select true from waybill.outbox_messages
    where ${waiting()} and queue = ${queue} and priority = ${priority} and available_at <= now()
    order by available_at desc limit 1) is not null`;
