// The sweep's statements: what ran out, what vanished. Like the relay's they select by state.

import type { Executor } from '../db/executor.ts';
import { numberOf, textOf, textOrNull } from '../db/values.ts';
import { bitsSql, isMarkedSql } from './begun.ts';
import { enter } from './ledger.ts';
import type { Expired } from './port.ts';
import { guard } from './transitions.ts';

/** Ran out; or none that ever will: a row edited by hand. */
export const lapsed = `(claimed_until < now() or claimed_until is null or claimed_until = 'infinity')`;

export const inFlight = `relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null`;

/** Neither claimable nor claimed, or handed on in the future: nothing else would ever look at such a row again. */
export const stuck = `(not ${guard('claim')} and not ${guard('expire')} or relayed_at > (now() + interval '1 hour'))`;

const ended = `id::text as id, kind, name, queue, status, attempts::text as attempts, max_attempts::text as most, delivery_key as key,
    request_id as request, traceparent, last_error as error, dead_cause as cause`;

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
 * Workers with which several messages that may have begun were lost, a moment ago or now: then nobody knows which of them ended it. Looked up
 * once for all, and only if the answer decides something.
 */
const company = `
  unsure as (
    select claimed_by from weighed where attempts >= max_attempts and not unbegun and prefetched is not null and expirations = 0),
  marked as (
    select id from waybill.outbox_begun b, unnest(b.ids) as id where b.worker = any(array(select claimed_by from unsure))),
  company as (
    select o.claimed_by as worker from waybill.outbox_messages o
     where exists (select from unsure) and o.${inFlight.replaceAll(' and ', ' and o.')} and o.claimed_by = any(array(select claimed_by from unsure))
       and case when o.prefetched then ${bitsSql('o')} = any(array(select id from marked)) else true end
     group by o.claimed_by having count(*) > 1
    union all
    select a.worker from waybill.outbox_attempts a
     where exists (select from unsure) and a.worker = any(array(select claimed_by from unsure))
       and a.outcome = 'expired' and a.finished_at > (now() - interval '5 minutes'))`;

/**
 * Leases that ran out (invariants B and E). What was prefetched and had not begun gets its attempt back; what had begun has used it. No attempt
 * left is the end, but not for a message that had company and no expiry before: it runs once more, alone (src/outbox/suspect.ts).
 */
export const expireSql = `
  with lapsed as (
    select id, attempts, max_attempts, expirations, claimed_at, claimed_by, prefetched from waybill.outbox_messages
     where ${inFlight} and ${guard('expire')} and ${lapsed}
     limit $1 for update skip locked),
  weighed as (
    select l.*, case when l.prefetched then not ${isMarkedSql('l')} else false end as unbegun from lapsed l),${company},
  judged as (
    select w.*, case when w.attempts < w.max_attempts or w.unbegun then false
                when w.prefetched is null or w.expirations > 0 then true
                else not coalesce(w.claimed_by = any(array(select worker from company)), false) end as last
      from weighed w),
  expired as (
    update waybill.outbox_messages m
       set status = case when j.last then 'dead' else 'failed' end,
           dead_at = case when j.last then now() end, dead_cause = case when j.last then 'expired' end,
           relayed_at = case when j.last then m.relayed_at end,
           available_at = case when j.last then m.available_at else now() end,
           attempts = case when j.last then m.attempts when j.unbegun then m.attempts - 1
                           else least(m.attempts, m.max_attempts - 1) end,
           claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, prefetched = null,
           expirations = m.expirations + 1, revision = m.revision + 1,
           last_error = 'the lease ran out' || case when j.unbegun then ' before the delivery began' else '' end
                        || ': the worker ' || coalesce(j.claimed_by, 'that the row does not name') || ' died or stood still'
      from judged j where m.id = j.id
    returning m.*),
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
    select e.id, j.attempts, coalesce(j.claimed_at, now()), coalesce(j.claimed_by, ''), case when j.unbegun then 'released' else 'expired' end, e.last_error
      from expired e join judged j on j.id = e.id)
  select ${ended} from expired`;

export async function expireLeases(db: Executor, limit: number): Promise<Expired[]> {
  return (await db.executeSql(expireSql, [limit])).rows.map(endedOf);
}

/** Rows edited by hand: no attempt is left, yet they wait. */
export const exhaustSql = `
  with spent as (
    select id, kind, counted from waybill.outbox_messages
     where ${inFlight} and ${guard('exhaust')} and attempts >= max_attempts limit $1 for update skip locked),${enter('spent')}
  update waybill.outbox_messages
     set status = 'dead', dead_at = now(), dead_cause = 'exhausted', counted = true,
         last_error = 'attempts_exhausted: the row waited with no attempt left'
   where id = any(array(select id from spent))
  returning ${ended}`;

export async function killExhausted(db: Executor, limit: number): Promise<Expired[]> {
  return (await db.executeSql(exhaustSql, [limit])).rows.map(endedOf);
}

/** Rows edited by hand that no statement of ours would touch again. */
export const stuckSql = `select id from waybill.outbox_messages where ${inFlight} and ${stuck} limit $1`;

export async function findStuck(db: Executor, limit: number): Promise<string[]> {
  return (await db.executeSql<{ id: string }>(stuckSql, [limit])).rows.map(({ id }) => id);
}

export type Suspect = { readonly id: string; readonly queue: string; readonly relayedAt: Date };

/** Handed to the queue a while ago and claimed by nobody: either its parcel waits there, or it vanished. */
export const suspectsSql = `
  select id, queue, relayed_at as "relayedAt" from waybill.outbox_messages
   where ${inFlight} and relayed_at < now() - $1 * interval '1 millisecond' and ${guard('claim')}
   order by relayed_at limit $2`;

export async function findSuspects(db: Executor, olderThanMs: number, limit: number): Promise<Suspect[]> {
  return (await db.executeSql<Suspect>(suspectsSql, [olderThanMs, limit])).rows;
}

/** Makes messages wait for the relay again, unless somebody claimed or relayed them meanwhile. */
export const unrelaySql = `
  update waybill.outbox_messages m set relayed_at = null, revision = m.revision + 1
   where m.id in (select o.id from waybill.outbox_messages o
                   where o.id = any($1::uuid[]) and (o.relayed_at < now() - $2 * interval '1 millisecond' or o.relayed_at > now() + interval '1 hour')
                     and ${guard('claim', 'o.status')} for update skip locked)
  returning m.queue`;

export async function unrelay(db: Executor, ids: readonly string[], olderThanMs: number): Promise<string[]> {
  return (await db.executeSql<{ queue: string }>(unrelaySql, [ids, olderThanMs])).rows.map((r) => r.queue);
}
