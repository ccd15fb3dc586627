// A suspect: a message that may kill its worker. Its lease ran out twice, or once with one attempt left. It runs alone (invariant F), so that
// no other message loses an attempt with it. After its first expiry a message runs like any other: nearly all that crash with it are innocent.

/** Condition on a row of waybill.outbox_messages that waits. `m`: its name in the statement, with a dot. */
export const isSuspectSql = (m = ''): string =>
  `(${m}expirations > 1 or (${m}expirations > 0 and (${m}attempts + 1) >= ${m}max_attempts))`;

type Waiting = { readonly expirations: number; readonly attempts: number; readonly maxAttempts: number };

export function isSuspect({ expirations, attempts, maxAttempts }: Waiting): boolean {
  return expirations > 1 || (expirations > 0 && attempts + 1 >= maxAttempts);
}
