// A lane: what waits in one queue with one priority. Where much waits, the relay does not name messages, it opens the lane: a worker
// claims whatever is next in it, and the stamp of the relay and the claim are one version of the row instead of two (invariant I).

import type { Executor } from '../db/executor.ts';
import { lanes } from './lanes.ts';
import { laneColumns, laneMessage, type LaneRow } from './claimed.ts';
import { dueColumns, type DueMessage } from './due.ts';
import { isOpen, isOpenAlone } from './gate.ts';
import { enter } from './ledger.ts';
import type { ClaimedMessage } from './message.ts';
import { guard } from './transitions.ts';

export type Lane = { readonly queue: string; readonly priority: number };

export type DueLane = Lane & {
  /** Messages that are due, as far as they were counted. */
  readonly due: number;
};

const head = `relayed_at is null and cancelled_at is null and available_at <= now()`;

/**
 * How many are due in each lane of an open queue; counting ends at the limit. From the last one on: what was claimed lies at the head, and an
 * index keeps its entries for as long as some transaction elsewhere may see them.
 */
export const dueLanesSql = `
  with recursive ${lanes}
  select lane.queue, lane.priority, n.due
    from lane cross join lateral (
      select count(*)::int as due from (
        select from waybill.outbox_messages where ${head} and queue = lane.queue and priority = lane.priority
         order by available_at desc limit $1) w) n
   where ${isOpen('lane.queue')}`;

export async function dueLanes(db: Executor, limit: number): Promise<DueLane[]> {
  return (await db.executeSql<DueLane>(dueLanesSql, [limit])).rows;
}

// A row that is locked stays where it is: its place in the table (ctid) is the shortest way to it. The gate is asked about the parameter and
// not about the column: of a column with one value the planner believes that nothing passes the gate, and reads and sorts the whole table.
export const next = (from = '') => `
  next as (
    select ctid, kind, status, attempts, max_attempts, expirations, counted from waybill.outbox_messages
     where ${head}${from} and queue = $2 and priority = $3 and ${isOpenAlone('$2')}
     order by available_at limit $1 for update skip locked)`;

// date_part gives a float, extract a numeric, which takes twice as long to make and to turn into one.
const lag = `date_part('epoch', now() - greatest(m.created_at, m.available_at)) as lag`;

/**
 * Of the next messages, what has no attempt behind it is claimed (invariants E and F): limit, queue, a priority, lease in ms, worker. One token
 * is drawn for all of them: to draw one costs a tenth of claiming a message. `begins`: the parameter that says how many begin at once.
 */
export const claimOf = (found: string, begins: string, entering = enter): string => `
  with ${found},
  fresh as (
    select * from (select *, row_number() over () <= ${begins} as begins from next where attempts = 0 and expirations = 0 and ${guard('claim')}) n
     where attempts < max_attempts and (begins or max_attempts > 1)),${entering('fresh')}
  update waybill.outbox_messages m
     set status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $5,
         claimed_at = now(), claimed_until = now() + $4 * interval '1 millisecond', relayed_at = now(), counted = true,
         prefetched = m.ctid <> all(array(select ctid from fresh where begins)), revision = m.revision + 1
   where m.ctid = any(array(select ctid from fresh))
  returning ${laneColumns}, ${lag}`;

/** The sixth: from which time on they are due, in seconds since the epoch, or null. The seventh: how many begin at once. */
export const claimLaneSql = `${claimOf(next(` and available_at >= coalesce(to_timestamp($6::float8), '-infinity')`), '$7')},
            date_part('epoch', nullif(m.available_at, m.created_at)) as due`;

export type LaneClaim = Lane & {
  readonly limit: number;
  /** How many of them begin at once; the others are prefetched, and none of those is on its last attempt. Default: all begin. */
  readonly begins?: number | undefined;
  readonly leaseMs: number;
  readonly workerId: string;
  /** What became due before is left out: seconds since the epoch. Default: nothing is. */
  readonly from?: number | undefined;
};

export type FromLane = {
  readonly message: ClaimedMessage;
  /** Seconds since it became due. */ readonly lag: number;
};

export type FromOpenLane = FromLane & {
  /** When it became due, seconds since the epoch. */ readonly due: number;
};

export async function claimLane(tx: Executor, claim: LaneClaim): Promise<FromOpenLane[]> {
  const { limit, begins = limit, queue, priority, leaseMs, workerId, from = null } = claim;
  const values = [limit, queue, priority, leaseMs, workerId, from, begins];
  const { rows } = await tx.executeSql<LaneRow & { due: number | null; lag: number }>(
    claimLaneSql,
    values,
    tx.isPlanned,
  );
  let message: ClaimedMessage | undefined;
  return rows.map((row) => {
    message = laneMessage(row, claim, message);
    return { message, lag: row.lag, due: row.due ?? row.created }; // most are due when they are recorded
  });
}

/** Stamps the next messages as the relay does, so that they travel in parcels: limit, queue, priority, only those with an attempt or an expired lease behind them. */
export const relayLaneSql = `
  with ${next()}
  update waybill.outbox_messages m set relayed_at = now(), revision = m.revision + 1
   where m.ctid = any(array(select ctid from next where attempts > 0 or expirations > 0 or not $4))
  returning ${dueColumns}, ${lag}`;

export async function relayLane(
  tx: Executor,
  { queue, priority, limit, attempted }: Lane & { readonly limit: number; readonly attempted: boolean },
): Promise<DueMessage[]> {
  return (await tx.executeSql<DueMessage>(relayLaneSql, [limit, queue, priority, attempted])).rows;
}
