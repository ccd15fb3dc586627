// The relay's and the sweep's statements: what is due, what ran out, what vanished. They select by state, never by position:
// a relay that remembers `id > last_seen` loses rows whose transactions commit late (FACTS 1).

import type { Executor } from '../db/executor.ts';
import { lanes } from './claim.ts';
import type { Expired } from './port.ts';
import { isOpen } from './gate.ts';
import { enter } from './ledger.ts';
import { guard } from './transitions.ts';

export type DueMessage = {
  readonly id: string;
  readonly queue: string;
  readonly priority: number;
  readonly attempts: number;
  /** Attempts that ended with their lease. */
  readonly expirations: number;
  readonly traceparent: string | null;
  /** Seconds since it became due. */
  readonly lag: number;
};

/**
 * Takes due messages and stamps them, best first: by queue, up to `room` of each. Rows of closed queues and of the lanes named stay.
 * Part of the relay's transaction: what cannot be put into the queue afterwards is not stamped.
 */
export const takeDueSql = `
  with recursive ${lanes},
  found as (
    select w.id, lane.queue, row_number() over (partition by lane.queue order by lane.priority desc, w.available_at) as place
      from lane cross join lateral (
        select id, available_at from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and queue = lane.queue and priority = lane.priority
           and available_at <= now()
         order by available_at limit least($3, coalesce(($2::int[])[array_position($1::text[], lane.queue)], $3))
         for update skip locked) w
     where ${isOpen('lane.queue')}
       and not exists (select from unnest($4::text[], $5::int[]) as o(queue, priority)
                        where o.queue = lane.queue and o.priority = lane.priority)),
  due as (
    select id from found
     where place <= least($3, coalesce(($2::int[])[array_position($1::text[], queue)], $3)))
  update waybill.outbox_messages m set relayed_at = now(), revision = m.revision + 1 where m.id = any(array(select id from due))
  returning m.id, m.queue, m.priority, m.attempts, m.expirations, m.traceparent,
            extract(epoch from now() - greatest(m.created_at, m.available_at))::float8 as lag`;

/** @param room messages that each queue may still take; queues that are not named take up to `limit`, which bounds every queue
 * @param except lanes */
export async function takeDue(
  tx: Executor,
  room: ReadonlyMap<string, number>,
  limit: number,
  except: readonly { readonly queue: string; readonly priority: number }[] = [],
): Promise<DueMessage[]> {
  const others = [except.map(({ queue }) => queue), except.map(({ priority }) => priority)];
  const values = [[...room.keys()], [...room.values()], limit, ...others];
  return (await tx.executeSql<DueMessage>(takeDueSql, values)).rows;
}

export const inFlight = `relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null`;

const ended = `id, kind, name, queue, status, attempts, max_attempts as "maxAttempts", delivery_key as "deliveryKey",
    request_id as "requestId", traceparent, last_error as error`;

/** Leases that ran out: due again at once, or dead when no attempt is left (invariants B and E). */
export const expireSql = `
  with lapsed as (
    select id, attempts, claimed_at, claimed_by, attempts >= max_attempts as last from waybill.outbox_messages
     where ${inFlight} and ${guard('expire')} and claimed_until < now()
     limit $1 for update skip locked),
  expired as (
    update waybill.outbox_messages m
       set status = case when lapsed.last then 'dead' else 'failed' end,
           dead_at = case when lapsed.last then now() end,
           relayed_at = case when lapsed.last then m.relayed_at end,
           available_at = case when lapsed.last then m.available_at else now() end,
           claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null, expirations = m.expirations + 1, revision = m.revision + 1,
           last_error = 'the lease ran out: the worker ' || lapsed.claimed_by || ' died or stood still'
      from lapsed where m.id = lapsed.id
    returning m.*),
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error)
    select e.id, l.attempts, l.claimed_at, l.claimed_by, 'expired', e.last_error from expired e join lapsed l on l.id = e.id)
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
     set status = 'dead', dead_at = now(), counted = true,
         last_error = 'attempts_exhausted: the row waited with no attempt left'
   where id = any(array(select id from spent))
  returning ${ended}`;

export async function killExhausted(db: Executor, limit: number): Promise<Expired[]> {
  return (await db.executeSql<Expired>(exhaustSql, [limit])).rows;
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
                   where o.id = any($1::uuid[]) and o.relayed_at < now() - $2 * interval '1 millisecond'
                     and ${guard('claim', 'o.status')} for update skip locked)
  returning m.queue`;

export async function unrelay(db: Executor, ids: readonly string[], olderThanMs: number): Promise<string[]> {
  return (await db.executeSql<{ queue: string }>(unrelaySql, [ids, olderThanMs])).rows.map((r) => r.queue);
}
