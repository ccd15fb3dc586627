// What can be seen of a message in every outbox, with times in units from now on.

import type { Status } from '../../../src/message/message.ts';
import type { Traits } from './apply.ts';
import { isLive, unitsUntil, waits, type Row, type State } from './state.ts';

export type Seen = {
  readonly status: Status;
  readonly payload: number;
  readonly attempts: number;
  readonly expirations: number;
  /** While it waits. */
  readonly due: number | null;
  /** It waits behind another message of its order key. */
  readonly behind: boolean;
  /** It waits for an older message of its delivery key. */
  readonly held: boolean;
  readonly claimedBy: string | null;
  readonly claimedFor: number | null;
  readonly prefetched: boolean | null;
};

export const workerName = (worker: number): string => `worker-${worker}`;

export function seenOf({ rows, now }: State, { claimPassesKeys }: Traits): Seen[] {
  const isHeld = (row: Row): boolean =>
    row.older !== null && waits(row) && (!claimPassesKeys || isLive(rows[row.older]!));
  return rows.map((row) => ({
    status: row.status,
    payload: row.payload,
    attempts: row.attempts,
    expirations: row.expirations,
    due: waits(row) ? unitsUntil(row.due, now) : null,
    behind: waits(row) && row.behind,
    held: isHeld(row),
    claimedBy: row.claim && workerName(row.claim.worker),
    claimedFor: row.claim && unitsUntil(row.claim.until, now),
    prefetched: row.claim && row.claim.prefetched,
  }));
}
