// One claim of a worker: at one place, on the connection that costs least. Where the queue has a rate, permits are booked in the transaction that
// claims.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import type { DedicatedConnection } from '../db/dedicated.ts';
import { claimSql, claimValues, claimWaiting, type Lease, type WaitingClaim } from '../outbox/claim.ts';
import { claimedOf, rowOf, type Claimed } from '../outbox/claimed.ts';
import type { Milliseconds } from '../ports.ts';
import type { BookedPermit, Permits } from './permits.ts';

export type ClaimPorts = Lease & {
  readonly db: Database;
  /** For claims of one statement. Default: `db`. */
  readonly planned?: Executor;
  /** Of queues with a rate. */
  readonly permits?: ReadonlyMap<string, Permits>;
};

export type Taken = {
  readonly claimed: readonly Claimed[];
  /** One for each message, when the queue has a rate. */
  readonly permits: readonly BookedPermit[];
  /** Fewer permits than messages may be the reason for less than was wanted … */
  readonly isScarce: boolean;
  /** … and there will be more after this time. */
  readonly restMs: Milliseconds;
};

/** Does not throw. */
export type Told = (error: Error | null, taken: Taken) => void;

const nothing: Taken = { claimed: [], permits: [], isScarce: false, restMs: 0 };

/**
 * @param session where a NOTIFY was heard, if it keeps plans: its server process is awake, and the answer comes without a promise (npm run bench -- latency)
 */
export function claimAt(
  claim: Omit<WaitingClaim, keyof Lease>,
  { db, planned = db, permits, leaseMs, workerId }: ClaimPorts,
  session: DedicatedConnection | undefined,
  told: Told,
): void {
  const whole = { ...claim, leaseMs, workerId };
  const rate = permits?.get(claim.queue);
  if (session && !rate) {
    const values = claimValues(whole).map((value) => (value === null ? null : String(value)));
    return session.ask(claimSql, values, (error, rows) => {
      if (error) return told(error, nothing);
      let claimed: readonly Claimed[];
      try {
        claimed = claimedOf(rows.map(rowOf), claim);
      } catch (unreadable) {
        return told(unreadable as Error, nothing);
      }
      told(null, { ...nothing, claimed });
    });
  }
  const claiming = rate
    ? db.transaction((tx) => claimWithPermits(tx, rate, whole))
    : claimWaiting(planned, whole).then((claimed) => ({ ...nothing, claimed }));
  claiming.then(
    (taken) => told(null, taken),
    (error: unknown) => told(error as Error, nothing),
  );
}

async function claimWithPermits(tx: Executor, rate: Permits, claim: WaitingClaim): Promise<Taken> {
  const booking = await rate(tx, claim.limit);
  const { count: limit, restMs } = booking;
  const isScarce = limit < claim.limit;
  if (limit === 0) return { ...nothing, isScarce, restMs };
  const claimed = await claimWaiting(tx, { ...claim, limit, begins: limit });
  return { claimed, permits: await booking.book(claimed.length), isScarce, restMs };
}
