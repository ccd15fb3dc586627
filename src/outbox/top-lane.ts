// The top lanes of queues, those of the highest priorities: what a worker that hears a nudge claims from (src/worker/shortcut.ts). It is asked
// for one message at a time, when the database rests: planning a statement would cost more than running it.

import type { Executor } from '../db/executor.ts';
import { claimedMessage, laneMessage, type ClaimedRow, type LaneRow } from './claimed.ts';
import { claimOf, next, type FromLane } from './lane.ts';
import { enterEach } from './ledger.ts';
import type { ClaimedMessage } from './message.ts';

export type TopClaim = {
  readonly queues: readonly string[];
  readonly limit: number;
  /** Only from lanes of a higher priority than this one. */
  readonly above: number;
  readonly leaseMs: number;
  readonly workerId: string;
};

/**
 * Claims as a claim from a lane does (src/outbox/lane.ts), of whatever lanes these queues have: queues, limit, above, lease in ms, worker.
 * A function of the database (sql/0021_claim_next.sql), for every session, whatever its settings.
 */
export const claimNextSql = 'select * from waybill.outbox_claim_next($1, $2, $3, $4, $5)';

export async function claimNext(db: Executor, claim: TopClaim): Promise<FromLane[]> {
  const { queues, limit, above, leaseMs, workerId } = claim;
  const values = [queues, limit, above, leaseMs, workerId];
  const { rows } = await db.executeSql<ClaimedRow & { lag: number }>(claimNextSql, values, true);
  return rows.map((row) => ({ message: claimedMessage(row), lag: row.lag }));
}

const below = (limit: string): string => `
    select priority from waybill.outbox_messages
     where relayed_at is null and cancelled_at is null and queue = $2 and priority > $3${limit}
     order by queue desc, priority desc limit 1`;

/** The third: above which priority. `others`: something waits in a lower lane, or will. */
export const claimTopSql = `${claimOf(
  `
  top as materialized (${below('')}), ${next('(select priority from top)')}`,
  enterEach,
)},
            m.priority, exists (${below(' and priority < (select priority from top)')}) as others`;

export type FromTop = {
  readonly taken: readonly FromLane[];
  /** Nothing is left to claim in this queue. */
  readonly isAll: boolean;
};

/** Claims from the top lane of one queue, in a session that plans by indexes alone (src/db/prepared.ts). */
export async function claimTop(session: Executor, queue: string, claim: TopClaim): Promise<FromTop> {
  const values = [claim.limit, queue, claim.above, claim.leaseMs, claim.workerId];
  const { rows } = await session.executeSql<TopRow>(claimTopSql, values, true);
  let message: ClaimedMessage | undefined;
  const taken = rows.map((row) => {
    message = laneMessage(row, { queue, priority: row.priority }, message);
    return { message, lag: row.lag };
  });
  return { taken, isAll: rows.length === claim.limit || rows[0]?.others === false };
}

type TopRow = LaneRow & { priority: number; lag: number; others: boolean };
