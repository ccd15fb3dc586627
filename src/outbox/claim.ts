// The step *claim*: a worker takes the right to deliver. Status `sending`, a fresh token, a lease, attempts + 1 (invariant E), and the message
// leaves the waiting index. There is one way to claim: the next due messages of one queue at one priority, in the order in which they became
// due, without what others hold. NOTIFY, wake-ups, full last claims, polls, retries, drains and `claimBatch` all use it. Suspects, and the probe
// of a parked queue, differ in where they are found.

import type { Executor } from '../db/executor.ts';
import { arrayText } from '../db/values.ts';
import { claimedColumns, claimedOf, claimedTexts, type Claimed, type ClaimedRow } from './claimed.ts';
import { isOpenAlone, mayProbe, placesOf, suspect, waiting, type Place } from './waiting.ts';
import type { Kind } from '../message/message.ts';
import { transitions, updateMessages } from '../message/transitions.ts';

// One token for all: to draw one costs a tenth of claiming a message. A row that is locked stays where it is: its place in the table (ctid) is
// the shortest way to it.
const claimOf = (begins: string, lease: string, worker: string, returning = claimedTexts): string => `
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

// The queue is looked up by the parameter and not about the column: of a column with one value the planner believes that nothing passes, and reads
// and sorts the whole table.
const among = (kinds: string, ids: string): string =>
  `(${kinds}::text is null or kind = any(${kinds}::text::text[])) and (${ids}::text is null or id = any(${ids}::text::uuid[]))`;

const waitingText = (filter: string, returning: string): string => `
  with due as (
    select ctid, attempts, max_attempts from waybill.outbox_messages
     where ${waiting('', filter)} and available_at <= now() and available_at >= coalesce(to_timestamp($7::float8), '-infinity')
       and queue = $2 and priority = $3 and ${isOpenAlone('$2')}
     order by available_at limit $1 for update skip locked),
  chosen as (
    select ctid, begins from (
      select ctid, (attempts + 1) < max_attempts as may_wait, $6::int8 is null or row_number() over () <= $6::int8 as begins from due) d
     where begins or may_wait)
  ${claimOf('case when $6::int8 is not null then m.ctid <> all(array(select ctid from chosen where begins)) end', '$4', '$5', returning)}`;

/**
 * Limit, queue, priority, lease in ms, worker, how many of them begin at once (null: all, and the claimer says nothing of what begins), and from
 * which time on they are due, in seconds since the epoch (null: from the first). The others are prefetched: that is never a message on its last
 * attempt, which a crash could kill before it began.
 */
export const claimSql = waitingText('', claimedColumns);

/** The same, then kinds and ids, each an array or null. */
export const claimSomeSql = waitingText(among('$8', '$9'), claimedTexts);

const oneSuspect = (queue: string, filter = ''): string => `
    select ctid, id, queue from waybill.outbox_messages
     where ${suspect()} and available_at <= now() and queue = ${queue}${filter}
     order by available_at limit 1 for update skip locked`;

/** One suspect of an open queue: queue, lease in ms, worker, kinds and ids, each an array or null. */
export const claimSuspectSql = `
  with chosen as (${oneSuspect('$1', ` and ${isOpenAlone('$1')} and ${among('$4', '$5')}`)})
  ${claimOf('false', '$2', '$3')}`;

const candidate = (and = ''): string => `
    select w.ctid, w.id, w.queue
      from ready join place on place.queue = ready.name cross join lateral (
        select ctid, id, queue from waybill.outbox_messages
         where ${waiting('', and)} and queue = place.queue and priority = place.priority and available_at <= now()
         order by available_at limit 1 for update skip locked) w
     order by place.priority desc limit 1`;

// Of all processes one claims it, by the row of the queue. A message that met the failure before is chosen again only when no other waits.
const probeText = (chosen: string): string => `
  with recursive ${placesOf('$1')},
  ready as (select name, probed from waybill.queues q where q.name = $1 and ${mayProbe} for update skip locked),
  ${chosen},
  entitled as (
    update waybill.queues q set probe_message = chosen.id from chosen where q.name = chosen.queue)
  ${claimOf('false', '$2', '$3')}`;

/** The probe of a parked queue, its most urgent due message: queue, lease in ms, worker. */
export const claimProbeSql = probeText(`
  other as (${candidate('id <> all(ready.probed)')}),
  again as (select * from (${candidate()}) a where not exists (select from other)),
  chosen as (select ctid, id, queue from other union all select ctid, id, queue from again)`);

/** The same where nothing but suspects waits. */
export const claimSuspectProbeSql = probeText(`
  chosen as (select s.* from ready cross join lateral (${oneSuspect('ready.name')}) s)`);

export type Lease = { readonly leaseMs: number; readonly workerId: string };

export type WaitingClaim = Place &
  Lease & {
    readonly limit: number;
    /** How many of them begin at once; the others are prefetched. Default: all, and the claimer says nothing of what begins. */
    readonly begins?: number | undefined;
    /** What became due before is left out: seconds since the epoch. Default: nothing is. */
    readonly from?: number | undefined;
  };

/** The parameters of `claimSql`. */
export function claimValues(claim: WaitingClaim): (string | number | null)[] {
  const { limit, queue, priority, leaseMs, workerId, begins = null, from = null } = claim;
  return [limit, queue, priority, leaseMs, workerId, begins, from];
}

export async function claimWaiting(db: Executor, claim: WaitingClaim): Promise<Claimed[]> {
  const { rows } = await db.executeSql<ClaimedRow>(claimSql, claimValues(claim), db.isPlanned);
  return claimedOf(rows, claim);
}

/** Only these. Default: all. */
export type Only = {
  readonly kinds?: readonly Kind[] | undefined;
  readonly ids?: readonly string[] | undefined;
};

const listsOf = ({ kinds, ids }: Only): (string | null)[] =>
  [kinds, ids].map((list) => (list ? arrayText(list) : null));

export async function claimSome(db: Executor, claim: WaitingClaim, only: Only): Promise<Claimed[]> {
  const { rows } = await db.executeSql<ClaimedRow>(claimSomeSql, [...claimValues(claim), ...listsOf(only)]);
  return claimedOf(rows, claim);
}

/** For a worker that runs nothing else meanwhile. */
export async function claimSuspect(
  db: Executor,
  queue: string,
  { leaseMs, workerId }: Lease,
  only: Only = {},
): Promise<Claimed[]> {
  const values = [queue, leaseMs, workerId, ...listsOf(only)];
  return claimedOf((await db.executeSql<ClaimedRow>(claimSuspectSql, values)).rows, { queue });
}

/** @param isSuspect nothing else waits: for a worker that runs nothing else meanwhile */
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
