// The sweep's statements: what ran out, what vanished. Like the relay's they select by state.

import type { Executor } from '../db/executor.ts';
import { enter } from './ledger.ts';
import type { Expired } from './port.ts';
import { guard } from './transitions.ts';

/** Ran out; or none that ever will: a row edited by hand. */
export const lapsed = `(claimed_until < now() or claimed_until is null or claimed_until = 'infinity')`;

export const inFlight = `relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null`;

/** Neither claimable nor claimed, or handed on in the future: nothing else would ever look at such a row again. */
export const stuck = `(not ${guard('claim')} and not ${guard('expire')} or relayed_at > now() + interval '1 hour')`;

const ended = `id, kind, name, queue, status, attempts, max_attempts as "maxAttempts", delivery_key as "deliveryKey",
    request_id as "requestId", traceparent, last_error as error, dead_cause as cause`;

/** Leases that ran out: due again at once, or dead when no attempt is left (invariants B and E). */
export const expireSql = `
  with lapsed as (
    select id, attempts, claimed_at, claimed_by, attempts >= max_attempts as last from waybill.outbox_messages
     where ${inFlight} and ${guard('expire')} and ${lapsed}
     limit $1 for update skip locked),
  expired as (
    update waybill.outbox_messages m
       set status = case when lapsed.last then 'dead' else 'failed' end,
           dead_at = case when lapsed.last then now() end, dead_cause = case when lapsed.last then 'expired' end,
           relayed_at = case when lapsed.last then m.relayed_at end,
           available_at = case when lapsed.last then m.available_at else now() end,
           claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, expirations = m.expirations + 1, revision = m.revision + 1,
           last_error = 'the lease ran out: the worker ' || coalesce(lapsed.claimed_by, 'that the row does not name') || ' died or stood still'
      from lapsed where m.id = lapsed.id
    returning m.*),
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
    select e.id, l.attempts, coalesce(l.claimed_at, now()), coalesce(l.claimed_by, ''), 'expired', e.last_error from expired e join lapsed l on l.id = e.id)
  select ${ended} from expired`;

export async function expireLeases(db: Executor, limit: number): Promise<Expired[]> {
  return (await db.executeSql<Expired>(expireSql, [limit])).rows;
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
  return (await db.executeSql<Expired>(exhaustSql, [limit])).rows;
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
