// Leases are renewed under their tokens.

import { updateMessages } from './transitions.ts';

/** Renews leases of what has begun: ids, tokens, lease in ms. A row that is being settled this moment is passed over, so that the two never deadlock. */
export const extendSql = `
  with held as (
    select m.id from unnest($1::text::uuid[], $2::text::uuid[]) as g(id, token)
      join waybill.outbox_messages m on m.id = g.id and m.claim_token = g.token
     where m.id = any($1::text::uuid[]) for update of m skip locked)
  ${updateMessages({
    claimed_until: `(now() + ($3 * interval '1 millisecond'))`,
    prefetched: 'case when m.prefetched then false else m.prefetched end',
  })}
    from held where m.id = held.id
  returning m.id::text as id`;
