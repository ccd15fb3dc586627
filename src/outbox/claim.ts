// The step *claim*: a worker takes the right to deliver messages. The row gets the status `sending`, a fresh claim token, a lease and
// attempts + 1 (invariant E), and leaves the waiting index. There is one way to claim: the next due messages of one queue at one priority,
// in the order of their due times, skipping locked rows; where groups wait, they take turns (claim-groups.ts). NOTIFY, wake-ups, full last
// claims, polls, retries, drains and `claimBatch` all use it. Claims of suspects and of a parked queue's probe differ only in how they find the row.

import type { Executor } from '../db/executor.ts';
import { arrayText } from '../db/values.ts';
import { claimedColumns, claimedOf, claimedTexts, type Claimed, type ClaimedRow } from './claimed.ts';
import {
  grouped,
  isGroupOpen,
  isOpenAlone,
  isUnlimited,
  mayProbe,
  placesOf,
  suspect,
  ungrouped,
  waiting,
  type Part,
  type Place,
} from './waiting.ts';
import type { Kind } from '../message/message.ts';
import { transitions, updateMessages } from '../message/transitions.ts';

// All messages of a claim share one token: to draw one costs a tenth of claiming a message. A locked row does not move, so its ctid is the
// fastest way to it.
export const claimOf = (begins: string, lease: string, worker: string, returning = claimedTexts): string => `
  ${updateMessages(
    transitions.claim.set({
      token: '(select gen_random_uuid())',
      worker,
      until: `(now() + (${lease} * interval '1 millisecond'))`,
      prefetched: begins,
    }),
  )}
   where m.ctid = any(array(select ctid from chosen))
  returning ${returning}`;

export const among = (kinds: string, ids: string): string =>
  `(${kinds}::text is null or kind = any(${kinds}::text::text[])) and (${ids}::text is null or id = any(${ids}::text::uuid[]))`;

/** How many messages of the queue its limits leave, for a caller who knows them (sql/0003_queues.sql). */
export const room = `room as materialized (select * from waybill.queue_room($2, $7))`;

/** @param limit wanted, without the queue's limits */
export const wanted = (limit: string): string => `least(${limit}, (select room from room))`;

// Whether the queue is open is looked up by the parameter, not the column: for a column with one value the planner expects that no row passes,
// and reads and sorts the whole table.
const due = (filter: string, and: string, limit: string): string => `
  due as (
    select ctid, attempts, max_attempts from waybill.outbox_messages
     where ${waiting('', filter)} and ${ungrouped.where()} and available_at <= now()
       and queue = $2 and priority = $3 and ${and}
     order by ${ungrouped.order()} limit ${limit} for update skip locked)`;

/** Those of `due` that may begin at once, or may wait: a message on its last attempt may not, as a crash could make it dead before it began. */
const chosen = `
  chosen as (
    select ctid, begins from (
      select ctid, (attempts + 1) < max_attempts as may_wait, $6::int8 is null or row_number() over () <= $6::int8 as begins from due) d
     where begins or may_wait)`;
const prefetched =
  'case when $6::int8 is not null then m.ctid <> all(array(select ctid from chosen where begins)) end';

/**
 * From a queue without limits. Values: limit, queue, priority, lease in ms, worker, number of messages that begin at once (null: all, and starts are
 * not recorded), earliest due time in seconds since the epoch (null: none). The other messages are prefetched.
 */
export const claimSql = `
  with ${due('', `available_at >= coalesce(to_timestamp($7::float8), '-infinity') and ${isUnlimited('$2')}`, '$1')},${chosen}
  ${claimOf(prefetched, '$4', '$5', claimedColumns)}`;

/**
 * The same from any queue, within its limits, for any connection. Values: as before until the sixth, then the limits that the caller knows, kinds
 * and ids, each an array or null.
 */
export const claimSomeSql = `
  with ${room},${due(among('$8', '$9'), isOpenAlone('$2'), wanted('$1'))},${chosen}
  ${claimOf(prefetched, '$4', '$5')}`;

const oneSuspect = (queue: string, filter = ''): string => `
    select ctid, id, queue from waybill.outbox_messages
     where ${suspect()} and available_at <= now() and queue = ${queue} and ${isGroupOpen()}${filter}
     order by available_at limit 1 for update skip locked`;

/** Claims one suspect of an open queue. Values: queue, lease in ms, worker, kinds and ids, each an array or null. */
export const claimSuspectSql = `
  with chosen as (${oneSuspect('$1', ` and ${isOpenAlone('$1')} and ${among('$4', '$5')}`)})
  ${claimOf('false', '$2', '$3')}`;

const first = (part: Part, and: string): string => `
        select * from (
          select ctid, id, queue from waybill.outbox_messages
           where ${waiting('', and)} and ${part.where()} and ${isGroupOpen()}
             and queue = place.queue and priority = place.priority and available_at <= now()
           order by ${part.order()} limit 1 for update skip locked) f`;

const candidate = (and = ''): string => `
    select w.ctid, w.id, w.queue
      from ready join place on place.queue = ready.name
      cross join lateral (${first(ungrouped, and)} union all ${first(grouped, and)}) w
     order by place.priority desc limit 1`;

// The lock on the queue's row lets one process claim the probe. One that waited for the lock reads the row again, but not the message of the probe:
// so the row also says that no other probe is due until the lease has run out. A message that met the failure before is chosen only when no other waits.
const probeText = (chosen: string): string => `
  with recursive ${placesOf('$1')},
  ready as (select name, probed from waybill.queues q where q.name = $1 and ${mayProbe} for update skip locked),
  ${chosen},
  entitled as (
    update waybill.queues q set probe_message = chosen.id, probe_at = (now() + ($2 * interval '1 millisecond'))
      from chosen where q.name = chosen.queue)
  ${claimOf('false', '$2', '$3')}`;

/** Claims the most urgent due message of a parked queue as its probe. Values: queue, lease in ms, worker. */
export const claimProbeSql = probeText(`
  other as (${candidate('id <> all(ready.probed)')}),
  again as (select * from (${candidate()}) a where not exists (select from other)),
  chosen as (select ctid, id, queue from other union all select ctid, id, queue from again)`);

/** The same where only suspects wait. */
export const claimSuspectProbeSql = probeText(`
  chosen as (select s.* from ready cross join lateral (${oneSuspect('ready.name')}) s)`);

export type Lease = { readonly leaseMs: number; readonly workerId: string };

export type WaitingClaim = Place &
  Lease & {
    readonly limit: number;
    /** How many messages begin at once; the others are prefetched. Default: all, and starts are not recorded. */
    readonly begins?: number | undefined;
    /** Earliest due time of messages to claim, in seconds since the epoch. Default: none. */
    readonly from?: number | undefined;
    /** The queue's limits that the caller knows, as their text in the database; needed where there is a rate. */
    readonly known?: string | undefined;
  };

export function claimValues(claim: WaitingClaim): (string | number | null)[] {
  const { limit, queue, priority, leaseMs, workerId, begins = null, from = null } = claim;
  return [limit, queue, priority, leaseMs, workerId, begins, from];
}

/** From a queue without limits: of any other nothing is claimed. */
export async function claimWaiting(db: Executor, claim: WaitingClaim): Promise<Claimed[]> {
  const { rows } = await db.executeSql<ClaimedRow>(claimSql, claimValues(claim), db.isPlanned);
  return claimedOf(rows, claim);
}

/** Restricts a claim to these kinds and ids. Default: all. */
export type Only = {
  readonly kinds?: readonly Kind[] | undefined;
  readonly ids?: readonly string[] | undefined;
};

export const listsOf = ({ kinds, ids }: Only): (string | null)[] =>
  [kinds, ids].map((list) => (list ? arrayText(list) : null));

/** Within the queue's limits. */
export async function claimSome(db: Executor, claim: WaitingClaim, only: Only = {}): Promise<Claimed[]> {
  const { limit, queue, priority, leaseMs, workerId, begins = null, known = null } = claim;
  const values = [limit, queue, priority, leaseMs, workerId, begins, known, ...listsOf(only)];
  const { rows } = await db.executeSql<ClaimedRow>(claimSomeSql, values, db.isPlanned);
  return claimedOf(rows, claim);
}

/** The worker must run nothing else meanwhile. */
export async function claimSuspect(
  db: Executor,
  queue: string,
  { leaseMs, workerId }: Lease,
  only: Only = {},
): Promise<Claimed[]> {
  const values = [queue, leaseMs, workerId, ...listsOf(only)];
  return claimedOf((await db.executeSql<ClaimedRow>(claimSuspectSql, values)).rows, { queue });
}

/** @param isSuspect only suspects wait; the worker must run nothing else meanwhile */
export async function claimProbe(
  db: Executor,
  queue: string,
  { leaseMs, workerId }: Lease,
  isSuspect = false,
): Promise<Claimed[]> {
  const sql = isSuspect ? claimSuspectProbeSql : claimProbeSql;
  const { rows } = await db.executeSql<ClaimedRow>(sql, [queue, leaseMs, workerId]);
  return claimedOf(rows, { queue, probe: true });
}
