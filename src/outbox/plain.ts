// Plain ends, those of most messages: one update of their rows settles them, under their claim tokens (invariant C).

import type { Settlement } from './outcome.ts';
import { countEnds } from './ledger.ts';
import { guard } from './transitions.ts';
import { uuidsAsBinary, uuidsAsText } from './uuids.ts';

/** Nothing is to be written beside the row: so most messages end. */
export function isPlain(settlement: Settlement): boolean {
  const { to } = settlement;
  return to === 'delivered' && settlement.then.length === 0 && (settlement.notes ?? []).length === 0;
}

const deliver = (token: string): string => `
  with settled as (
  update waybill.outbox_messages m
     set status = 'delivered', claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null,
         delivered_at = now(), last_error = null, revision = m.revision + 1
   where m.id = any($1::uuid[]) and m.claim_token = ${token} and ${guard('deliver', 'm.status')}
  returning m.id, m.kind, m.queue, date_part('epoch', clock_timestamp() - m.created_at) as seconds),${countEnds(`'delivered'`)}
  select id::text as id, seconds::text as seconds from settled`;

/** Plain ends of what was claimed together: ids, their token. */
export const deliverSql = deliver('$2::uuid');

/** Plain ends of what was not: ids, no two the same, and the token of each. */
export const deliverPairsSql = deliver('($2::uuid[])[array_position($1::uuid[], m.id)]');

/** The statement and its values, where all ends are plain; undefined: `settleSql` is for them. */
export function plainEnds(
  settlements: readonly Settlement[],
  isBinary = false,
): { readonly sql: string; readonly values: unknown[] } | undefined {
  if (!settlements.every(isPlain)) return undefined;
  const uuids = isBinary ? uuidsAsBinary : uuidsAsText;
  const { claimToken } = settlements[0]!;
  const ids = settlements.map(({ id }) => id);
  if (settlements.every((one) => one.claimToken === claimToken))
    return { sql: deliverSql, values: [uuids(ids), claimToken] };
  // One message twice: an earlier claim of it ran out while its attempt ran, and both attempts are over.
  if (new Set(ids).size < ids.length) return undefined;
  return { sql: deliverPairsSql, values: [uuids(ids), uuids(settlements.map((one) => one.claimToken))] };
}
