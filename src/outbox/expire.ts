// The step *expire*: renews leases under their claim tokens, and makes messages due again whose lease expired.

import type { Executor } from '../db/executor.ts';
import { numberOf, textOf, textOrNull } from '../db/values.ts';
import { bitsSql, isMarkedSql } from './begun.ts';
import type { Expired } from './port.ts';
import { endMessages, guard, transitions, updateMessages } from '../message/transitions.ts';
import {
  anyHeldBackSql,
  grouped,
  inFlight,
  odd,
  oddSuspect,
  ungrouped,
  waits,
  type Part,
  type Place,
} from './waiting.ts';

/** The lease expired, or never would because the row was edited by hand. */
const lapsed = `(claimed_until < now() or claimed_until is null or claimed_until = 'infinity')`;

const columns = `id::text as id, kind, name, queue, status, attempts::text as attempts, max_attempts::text as most, delivery_key as key,
    request_id as request, traceparent, last_error as error, dead_cause as cause`;

const returned =
  'm.name, m.status, m.attempts, m.max_attempts, m.delivery_key, m.request_id, m.traceparent, m.last_error, m.dead_cause';

function endedOf(row: Record<string, unknown>): Expired {
  return {
    id: textOf(row['id']),
    kind: textOf(row['kind']) as Expired['kind'],
    name: textOf(row['name']),
    queue: textOf(row['queue']),
    status: textOf(row['status']) as Expired['status'],
    attempts: numberOf(row['attempts']),
    maxAttempts: numberOf(row['most']),
    deliveryKey: textOrNull(row['key']),
    requestId: textOrNull(row['request']),
    traceparent: textOrNull(row['traceparent']),
    error: textOf(row['error']),
    cause: textOrNull(row['cause']) as Expired['cause'],
  };
}

/**
 * Workers that lost several messages which may have begun, now or in the last 5 minutes: any of them may have crashed the worker.
 * Looked up once for all workers, and only when the answer decides something.
 */
const company = `
  unsure as (
    select claimed_by from weighed where attempts >= max_attempts and not unbegun and prefetched is not null and expirations = 0),
  marked as (
    select id from waybill.outbox_begun b, unnest(b.ids) as id where b.worker = any(array(select claimed_by from unsure))),
  company as (
    select o.claimed_by as worker from waybill.outbox_messages o
     where exists (select from unsure) and ${inFlight('o.')} and o.claimed_by = any(array(select claimed_by from unsure))
       and case when o.prefetched then ${bitsSql('o')} = any(array(select id from marked)) else true end
     group by o.claimed_by having count(*) > 1
    union all
    select a.worker from waybill.outbox_attempts a
     where exists (select from unsure) and a.worker = any(array(select claimed_by from unsure))
       and a.outcome = 'expired' and a.finished_at > (now() - interval '5 minutes'))`;

/**
 * Ends expired leases (invariants B and E). A message that was prefetched and had not begun gets its attempt back; one that had begun has
 * used it. Without an attempt left it is dead. The exception is a first expiry on a worker that lost several messages: the message runs
 * once more, alone (src/outbox/waiting.ts).
 */
export const expireSql = `
  with lapsed as (
    select id, attempts, max_attempts, expirations, claimed_at, claimed_by, prefetched from waybill.outbox_messages
     where ${inFlight()} and ${guard('expire')} and ${lapsed}
     limit $1 for update skip locked),
  weighed as (
    select l.*, case when l.prefetched then not ${isMarkedSql('l')} else false end as unbegun from lapsed l),${company},
  judged as (
    select w.*, case when w.attempts < w.max_attempts or w.unbegun then false
                when w.prefetched is null or w.expirations > 0 then true
                else not coalesce(w.claimed_by = any(array(select worker from company)), false) end as last
      from weighed w),
  ${endMessages(
    transitions.expire.set({
      last: 'j.last',
      attempts: 'case when j.unbegun then m.attempts - 1 else least(m.attempts, m.max_attempts - 1) end',
      // At least 2 where one attempt is left, which makes it a suspect (src/outbox/waiting.ts).
      expirations: `greatest((m.expirations + 1), case when (m.attempts + case when j.unbegun then 0 else 1 end) >= m.max_attempts then 2 end)`,
      error: `'the lease ran out' || case when j.unbegun then ' before the delivery began' else '' end
        || ': the worker ' || coalesce(j.claimed_by, 'that the row does not name') || ' died or stood still'`,
    }),
    'from judged j where m.id = j.id',
    `'expired'`,
    returned,
  )},
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
    select e.id, j.attempts, coalesce(j.claimed_at, now()), coalesce(j.claimed_by, ''), case when j.unbegun then 'released' else 'expired' end, e.last_error
      from ended e join judged j on j.id = e.id)
  select ${columns} from ended`;

export async function expireLeases(db: Executor, limit: number): Promise<Expired[]> {
  return (await db.executeSql(expireSql, [limit])).rows.map(endedOf);
}

/** Values: ids of rows edited by hand, which wait although no attempt is left. */
export const exhaustSql = `
  with spent as (
    select id from waybill.outbox_messages
     where id = any($1::uuid[]) and ${waits()} and ${guard('exhaust')} and attempts >= max_attempts for update skip locked),
  ${endMessages(
    transitions.exhaust.set({ error: `'attempts_exhausted: the row waited with no attempt left'` }),
    'where m.id = any(array(select id from spent))',
    `'exhausted'`,
    returned,
  )}
  select ${columns} from ended`;

export async function killExhausted(db: Executor, ids: readonly string[]): Promise<Expired[]> {
  return (await db.executeSql(exhaustSql, [ids])).rows.map(endedOf);
}

/**
 * Looks claimed without being `sending`: edited by hand. A message that is held back (src/outbox/replace.ts) looks the same, and a row of
 * outbox_keys names it.
 */
const astray = `not ${guard('expire')} and (shared_key is null or not exists (
        select from waybill.outbox_keys k where k.pruned_at = 'infinity' and k.message_id = id))`;

/** Rows edited by hand: some look claimed without being `sending`, others are suspects that no claim can take. */
export const stuckSql = `
  (select id, status from waybill.outbox_messages where ${inFlight()} and ${astray} limit $1)
  union all
  (select id, status from waybill.outbox_messages where ${oddSuspect()} order by queue, available_at limit $1)`;

export type Stuck = { readonly id: string; readonly status: string };

export async function findStuck(db: Executor, limit: number): Promise<Stuck[]> {
  return (await db.executeSql<Stuck>(stuckSql, [limit])).rows;
}

const headOf = (part: Part): string => `
  select * from (
    select * from waybill.outbox_messages
     where ${waits()} and ${part.where()} and queue = $1 and priority = $2 and available_at <= now()
     order by ${part.order()} limit 100) h`;

/**
 * Rows edited by hand among the first 100 that are due. Values: queue, priority. Only where nothing of the queue is in flight: then claims
 * make no progress, and reading the head of the index is worth its cost, although a transaction elsewhere may keep dead entries there.
 */
export const oddSql = `
  select id, status from (${[ungrouped, grouped].map(headOf).join(' union all ')}) w
   where ${odd()} and (select true from waybill.outbox_messages f
                        where ${inFlight('f.')} and f.queue = $1 order by f.relayed_at desc limit 1) is null`;

export async function findOdd(db: Executor, { queue, priority }: Place): Promise<Stuck[]> {
  return (await db.executeSql<Stuck>(oddSql, [queue, priority])).rows;
}

/** Corrects `relayed_at`: set where the row is `sending`, so that its lease expires; null where it can be claimed. Values: ids. */
export const restampSql = `
  ${updateMessages({ relayed_at: `case when ${guard('expire', 'm.status')} then now() end` })}
   where m.id in (select o.id from waybill.outbox_messages o
                   where o.id = any($1::uuid[]) and (${inFlight('o.')} and ${guard('claim', 'o.status')} or ${waits('o.')} and ${guard('expire', 'o.status')})
                     for update skip locked)
  returning m.id`;

/** Puts rows edited by hand into the index of their status. @returns how many */
export async function restamp(db: Executor, ids: readonly string[]): Promise<number> {
  return (await db.executeSql(restampSql, [ids])).rows.length;
}

/** SQL expression: whether the sweep has work. Not `exists`, for which Postgres may read the table. */
export const hasLapsed = `
  coalesce(
    (select true from waybill.outbox_messages
      where ${inFlight()} and (${guard('expire')} and ${lapsed} or ${astray}) order by relayed_at limit 1),
    (select true from waybill.outbox_messages
      where ${oddSuspect()} order by queue, available_at limit 1),
    (${anyHeldBackSql}), false)`;

/** Renews leases of messages that have begun. Values: ids, tokens, lease in ms. It skips rows that are being settled, so the two never deadlock. */
export const extendSql = `
  with held as (
    select m.id from unnest($1::text::uuid[], $2::text::uuid[]) as g(id, token)
      join waybill.outbox_messages m on m.id = g.id and m.claim_token = g.token
     where m.id = any($1::text::uuid[]) for update of m skip locked)
  ${updateMessages({
    claimed_until: `(now() + ($3 * interval '1 millisecond'))`,
    prefetched: 'case when m.prefetched then false else m.prefetched end',
  })}
    from held where m.id = held.id
  returning m.id::text as id`;
