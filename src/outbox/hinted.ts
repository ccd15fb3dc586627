// What a nudge hints at, as a worker claims it that hears one (src/worker/shortcut.ts): a lane, or whatever lanes some queues have. It is asked
// for one message at a time, when the database rests: planning a statement would cost more than running it.

import type { Executor } from '../db/executor.ts';
import type { Session } from '../db/session.ts';
import { claimedMessage, fromTexts, laneMessage, type ClaimedRow } from './claimed.ts';
import { claimOf, next, type FromLane, type Lane } from './lane.ts';
import { enterEach } from './ledger.ts';
import type { ClaimedMessage } from './message.ts';

export type HintedClaim = {
  readonly limit: number;
  /** How many of them begin at once. Default: all. */
  readonly begins?: number;
  readonly leaseMs: number;
  readonly workerId: string;
};

/**
 * Claims as a claim from a lane does (src/outbox/lane.ts), of whatever lanes these queues have: queues, limit, above, lease in ms, worker.
 * What it claims begins at once. A function of the database (sql/0010_claim_next.sql), for every session, whatever its settings.
 */
export const claimNextSql = `
  select id, kind, name, queue, payload::text, attempts, max_attempts as most, claim_token as token, delivery_key as key, request_id as request,
         traceparent, created_at * 1000 as created, priority, probe, lag
    from waybill.outbox_claim_next($1, $2, $3, $4, $5)`;

/** @param above only from lanes of a higher priority than this one */
export async function claimNext(
  db: Executor,
  queues: readonly string[],
  above: number,
  { limit, leaseMs, workerId }: Omit<HintedClaim, 'begins'>,
): Promise<FromLane[]> {
  const values = [queues, limit, above, leaseMs, workerId];
  const { rows } = await db.executeSql<ClaimedRow & { lag: number }>(claimNextSql, values, true);
  return rows.map((row) => ({ message: claimedMessage(row), lag: row.lag }));
}

/** Limit, queue, priority, lease in ms, worker, how many begin at once. */
export const claimHintedSql = claimOf(next(), '$6', enterEach);

/** Claims from one lane, in a session that keeps plans. @param told hears of what was claimed; does not throw */
export function claimHinted(
  session: Pick<Session, 'ask'>,
  lane: Lane,
  { limit, begins = limit, leaseMs, workerId }: HintedClaim,
  told: (error: Error | null, taken: readonly FromLane[]) => void,
): void {
  const values = [
    String(limit),
    lane.queue,
    String(lane.priority),
    String(leaseMs),
    workerId,
    String(begins),
  ];
  session.ask(claimHintedSql, values, (error, rows) => {
    let message: ClaimedMessage | undefined;
    const taken = rows.map((texts) => {
      message = laneMessage(fromTexts(texts), lane, message);
      return { message, lag: Number(texts.at(-1)) };
    });
    told(error, taken);
  });
}
