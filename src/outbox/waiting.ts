// The conditions of waiting and due messages, and the queues and priorities that have them. A claim takes a message out of the waiting
// index, and a failed attempt puts it back. Suspects wait there too, but have their own index, because they run alone (invariant F).
// All selects go by state, never by position: `id > last_seen` loses rows whose transactions commit late.

import { guard } from '../message/transitions.ts';
import type { Executor } from '../db/executor.ts';
import { arrayText, flagOf, numberOf, textOf } from '../db/values.ts';

/** Condition of the index outbox_waiting. @param m the row's alias in the statement, with a dot */
export const waits = (m = ''): string => `${m}relayed_at is null and ${m}cancelled_at is null`;

/**
 * The planner estimates that half of the rows pass a CASE. Without it, the planner multiplies the conditions' selectivities. If statistics say
 * that most rows are settled, it then expects fewer rows than the limit, reads and sorts all waiting rows, and compiles the plan (JIT).
 */
export const half = (condition: string): string => `case when ${condition} then true end`;

/** True of each waiting row that the engine wrote; any other was edited by hand. */
const isSound = (m: string): string =>
  `${guard('claim', `${m}status`)} and ${m}attempts < ${m}max_attempts and ${m}delivered_at is null and ${m}dead_at is null`;

/** A message that may be claimed beside others. @param and a further condition */
export const waiting = (m = '', and = ''): string =>
  `${waits(m)} and ${half(`${isSound(m)} and ${m}expirations < 2${and && ` and ${and}`}`)}`;

// The rest of the condition is in a CASE, so that only the index of suspects fits: the waiting index is as long as the backlog.
/** A suspect: its lease expired twice, so only a worker that runs nothing else may claim it. */
export const suspect = (m = ''): string => `${m}expirations > 1 and ${half(`${waits(m)} and ${isSound(m)}`)}`;

/** A suspect that was edited by hand so that no claim takes it. */
export const oddSuspect = (m = ''): string => `${m}expirations > 1 and ${half(`${waits(m)} and ${odd(m)}`)}`;

/** A row that was edited by hand so that no claim takes it. */
export const odd = (m = ''): string => `not (${isSound(m)})`;

/** Condition of the index outbox_in_flight: claimed, or edited by hand to look claimed. */
export const inFlight = (m = ''): string =>
  `${m}relayed_at is not null and ${m}delivered_at is null and ${m}dead_at is null and ${m}cancelled_at is null`;

/** A message that waits until an older one with its key has ended (src/outbox/replace.ts). No claim sees it. @param m the row's alias, with a dot */
export const isHeldBack = (m: string): string =>
  `${m}shared_key is not null and ${m}delivered_at is null and ${m}dead_at is null and ${m}cancelled_at is null`;

/**
 * Whether a row `k` of outbox_keys takes its key: its message was pruned, or is held back. One that was cancelled meanwhile takes it no more; the
 * sweep removes the row.
 */
export const takesKey = `(k.pruned_at < 'infinity' or exists (
      select from waybill.outbox_messages h where h.id = k.message_id and ${isHeldBack('h.')}))`;

/** Finds a row if a message is held back. */
export const anyHeldBackSql = `select true from waybill.outbox_keys where pruned_at = 'infinity' limit 1`;

/** Where messages wait: a queue at a priority, either its messages without a group or those of all its groups. */
export type Place = {
  readonly queue: string;
  readonly priority: number;
  readonly isGrouped?: boolean | undefined;
};

/** A part of a queue at a priority, in the order of its index: the due times of one part do not hide those of the other. */
export type Part = { readonly where: (m?: string) => string; readonly order: (direction?: 'desc') => string };

/** Messages without a group. The order names the group only because the planner does not know that it is constant. */
export const ungrouped: Part = {
  where: (m = '') => `${m}group_key is null`,
  order: (direction) =>
    direction === 'desc' ? 'group_key desc, available_at desc' : 'group_key, available_at',
};

/** Messages of all groups, in the order of their due times. */
export const grouped: Part = {
  where: (m = '') => `${m}group_key is not null`,
  order: (direction) => (direction === 'desc' ? 'available_at desc' : 'available_at'),
};

/**
 * `place(queue, priority)`: every queue at a priority in which messages wait, in descending order. It steps through the index (a loose scan),
 * so its cost depends on the number of places, not of messages.
 */
export const places = `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waits()} order by queue desc, priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waits('w.')} and (w.queue, w.priority) < (place.queue, place.priority)
       order by w.queue desc, w.priority desc limit 1) next)`;

/** The same for one queue, given as an SQL expression. */
export const placesOf = (queue: string): string => `
  place as (
    (select queue, priority from waybill.outbox_messages where ${waits()} and queue = ${queue} order by priority desc limit 1)
    union all
    select next.queue, next.priority from place cross join lateral (
      select w.queue, w.priority from waybill.outbox_messages w
       where ${waits('w.')} and w.queue = place.queue and w.priority < place.priority
       order by w.priority desc limit 1) next)`;

/**
 * Whether a message is due in a part of a place. It reads from the latest due time down: entries of claimed rows are at the head of the index, and stay
 * while a transaction may see them. Not `exists`, for which Postgres drops the order and may read the table.
 */
export const isDue = (queue: string, priority: string, part: Part): string => `
  (select true from waybill.outbox_messages
    where ${waiting()} and ${part.where()} and queue = ${queue} and priority = ${priority} and available_at <= now()
    order by ${part.order('desc')} limit 1) is not null`;

const isPlaceDue = (part: Part): string => isDue('place.queue', 'place.priority', part);

/** Held until a time that the provider named. Condition on a row of waybill.queues. */
export const isHeld = 'held_until > now()';
const held = isHeld;

/** Paused by a person, until a time or without an end. Condition on a row of waybill.queues. @param q the row's name, with a dot */
export const isPaused = (q = ''): string =>
  `(${q}paused_at is not null and coalesce(${q}paused_until > now(), true))`;

/** Condition on a row of waybill.queues. */
export const isClosed = `(${isPaused()} or parked_at is not null or ${held})`;

/** It reopened lately, so the fleet starts slowly. Condition on a row of waybill.queues. */
const isRamping = `greatest(ramp_from, held_until, paused_until) > (now() - ramp)`;

/** Parked, not paused or held, and a probe is due. Condition on a row `q` of waybill.queues. */
export const mayProbe = `(q.parked_at is not null and not ${isPaused('q.')} and (q.${held}) is not true and q.probe_at <= now()
  and not exists (select from waybill.outbox_messages p
                   where p.id = q.probe_message and p.status = 'sending' and p.claimed_until > now()))`;

/** Whether a queue is open; `queue` is a column or an expression. */
export const isOpen = (queue: string): string =>
  `${queue} <> all(array(select name from waybill.queues where ${isClosed}))`;

/**
 * The same for one queue, given as a parameter. It uses the primary key. Where sequential scans are disabled, a scan without an alternative
 * adds 1e10 to the plan's cost before Postgres 18; with `jit = on` the plan is then compiled at each execution (1 s instead of 1 ms).
 */
export const isOpenAlone = (parameter: string): string =>
  `not exists (select from waybill.queues where name = ${parameter} and ${isClosed})`;

/** False of most queues, and cheaper to tell than what follows from it. Condition on a row of waybill.queues. */
const isTouched = `(is_limited or paused_at is not null or parked_at is not null or held_until is not null or ramp_from is not null)`;

/** Open, without limits, and not just reopened: a claim need not ask `waybill.queue_room`. */
export const isUnlimited = (queue: string): string =>
  `not exists (select from waybill.queues where name = ${queue} and ${isTouched} and (${isClosed} or is_limited or ${isRamping}))`;

/** Paused by a person, parked, or held after failures. Condition on a row of waybill.queue_groups. @param g the row's name, with a dot */
export const isGroupClosed = (g = ''): string =>
  `(${isPaused(g)} or ${g}parked_at is not null or coalesce(${g}held_until > now(), false))`;

/** Condition of the index queue_groups_marked. */
export const isGroupMarked = `(paused_at is not null or parked_at is not null or failing_since is not null)`;

/** Whether the group of a row is open. The subselect only runs for rows that have a group. */
export const isGroupOpen = (m = ''): string =>
  `(${m}group_key is null or not exists (select from waybill.queue_groups g
     where g.queue = ${m || 'waybill.outbox_messages.'}queue and g.group_key = ${m || 'waybill.outbox_messages.'}group_key and ${isGroupClosed('g.')}))`;

export type DuePlace = Place & {
  /** The due messages are suspects of the queue, at any priority. */
  readonly suspects: boolean;
  /** The queue is parked, and one message may be claimed as its probe. */
  readonly probe: boolean;
  /** A person lets messages of the queue through although it is paused (src/outbox/claim-named.ts). */
  readonly named: boolean;
};

/** Values: an array of queues, or null for all. The last rows are no places: they have the limits of queues. */
export const dueSql = `
  with recursive ${places},
  ready as materialized (
    select queue, priority, part.grouped
      from place cross join lateral (
        select false as grouped where ${isPlaceDue(ungrouped)} union all select true where ${isPlaceDue(grouped)}) part
     where $1::text is null or queue = any($1::text::text[])),
  apart as materialized (
    select distinct m.queue from waybill.outbox_messages m
     where ${suspect('m.')} and m.available_at <= now() and ${isGroupOpen('m.')} and ($1::text is null or m.queue = any($1::text::text[])))
  select queue, priority::text as priority, grouped::text as grouped, 'f' as suspects, 'f' as probe from ready where ${isOpen('queue')}
  union all
  select queue, '0', 'f', 't', 'f' from apart where ${isOpen('queue')}
  union all
  select q.name, '0', 'f', case when q.name = any(array(select queue from ready)) then 'f' else 't' end, 't'
    from waybill.queues q
   where (q.name = any(array(select queue from ready)) or q.name = any(array(select queue from apart))) and ${mayProbe}
  union all
  select name, '0', 'f', 'f', 'named' from waybill.queues
   where ($1::text is null or name = any($1::text::text[])) and run_messages <> '{}' and parked_at is null and ${held} is not true
  union all
  select name, limits::text, null, null, null from waybill.queues
   where ($1::text is null or name = any($1::text::text[])) and (is_limited or ${isRamping})`;

export type Due = {
  readonly places: DuePlace[];
  /** Limits of queues that have some or reopened lately, as the database writes them (src/queues/limits.ts). */
  readonly limits: ReadonlyMap<string, string>;
};

/** @param queues default: all */
export async function findDue(db: Executor, queues?: readonly string[]): Promise<Due> {
  const { rows } = await db.executeSql(dueSql, [queues ? arrayText(queues) : null]);
  const limits = new Map<string, string>();
  const places: DuePlace[] = [];
  for (const row of rows) {
    const queue = textOf(row['queue']);
    if (row['suspects'] === null) limits.set(queue, textOf(row['priority']));
    else
      places.push({
        queue,
        priority: numberOf(row['priority']),
        isGrouped: flagOf(row['grouped']),
        suspects: flagOf(row['suspects']),
        probe: flagOf(row['probe']),
        named: textOf(row['probe']) === 'named',
      });
  }
  return { places, limits };
}

const countPart = (part: Part, isGrouped: boolean): string => `
  select ${isGrouped} as "isGrouped", count(*)::int as due from (
    select from waybill.outbox_messages
     where queue = place.queue and priority = place.priority and ${part.where()} and available_at <= now() and ${waits()}
     order by ${part.order('desc')} limit $1) w`;

/** Number of due rows at each place of open queues, including rows edited by hand. Each count ends at the limit. */
export const countDueSql = `
  with recursive ${places}
  select place.queue, place.priority, n."isGrouped", n.due
    from place cross join lateral (${countPart(ungrouped, false)} union all ${countPart(grouped, true)}) n
   where ${isOpen('place.queue')} and n.due > 0`;

export type DueCount = Place & { readonly due: number };

export async function countDue(db: Executor, limit: number): Promise<DueCount[]> {
  return (await db.executeSql<DueCount>(countDueSql, [limit])).rows;
}
