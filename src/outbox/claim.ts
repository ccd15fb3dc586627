// The step *claim*: a worker takes the right to deliver. Status `sending`, a fresh token, a lease, attempts + 1 (invariant E).
// It touches no indexed column of a relayed row, so the update is a HOT one.

import { claimedColumns } from './claimed.ts';
import { isOpen, mayGo, probes } from './gate.ts';
import { lanes } from './lanes.ts';
import { enter } from './ledger.ts';
import { isSuspectSql } from './suspect.ts';
import { guard } from './transitions.ts';

const mayBeClaimed = `${guard('claim')} and attempts < max_attempts`;
const claimable = `${mayBeClaimed} and available_at <= now()`;

// `= any(array(…))` and not a join: however many the planner expects, it goes through the primary key (a test holds the plans).
const take = (prefetched: string): string => `,${enter('due')}
  update waybill.outbox_messages m
     set status = 'sending', attempts = m.attempts + 1, claim_token = (select gen_random_uuid()), claimed_by = $3,
         claimed_at = now(), claimed_until = now() + ($2 * interval '1 millisecond'),
         relayed_at = coalesce(m.relayed_at, now()), counted = true, prefetched = ${prefetched},
         revision = m.revision + 1
   where m.id = any(array(select id from due))
  returning ${claimedColumns}, m.prefetched::text as prefetched, (m.id = any(${probes}))::text as probe`;

/**
 * The planner believes that half of the rows pass a CASE. Of the same conditions apart it multiplies what it knows of each: with statistics in which
 * most rows are settled it expects fewer than the limit, reads the whole lane, sorts it, and (at such a cost) compiles the plan.
 */
const half = (condition: string): string => `case when ${condition} then true end`;

/** Limit to suspects, or to the others. */
const ofSuspects = (parameter: string): string =>
  `(${parameter}::text is null or ${isSuspectSql()} = ${parameter}::text::boolean)`;

/**
 * Of a parcel: limit, lease in ms, worker, ids, queues, kinds, suspects, how many begin at once (these four or null; last attempts come first).
 */
export const claimIdsSql = `
  with found as (
    select id, kind, counted, (attempts + 1) < max_attempts as may_wait from waybill.outbox_messages
     where id = any($4::text::uuid[]) and ${claimable} and ${mayGo}
       and ($5::text is null or queue = any($5::text::text[])) and ($6::text is null or kind = any($6::text::text[]))
       and ${ofSuspects('$7')}
     limit $1 for update skip locked),
  due as (
    select * from (select *, $8::int is null or row_number() over (order by may_wait) <= $8::int as begins from found) f
     where begins or may_wait)${take('case when $8::int is null then null else m.id <> all(array(select id from due where begins)) end')}`;

/** Whatever is due, relayed or not, for a drain without a queue: limit, lease in ms, worker, queues or null, kinds or null, suspects or null. */
export const claimDueSql = `
  with recursive ${lanes},
  waiting as (
    select found.id, lane.priority, found.available_at, found.kind, found.counted
      from lane cross join lateral (
        select id, available_at, kind, counted from waybill.outbox_messages
         where relayed_at is null and cancelled_at is null and queue = lane.queue and priority = lane.priority
           and available_at <= now() and ${half(`${mayBeClaimed} and ($5::text is null or kind = any($5::text::text[])) and ${ofSuspects('$6')}`)}
         order by available_at limit $1 for update skip locked) found
     where ($4::text is null or lane.queue = any($4::text::text[])) and ${isOpen('lane.queue')}),
  relayed as (
    select id, priority, available_at, kind, counted from waybill.outbox_messages
     where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null
       and ${claimable} and ${mayGo} and ($4::text is null or queue = any($4::text::text[])) and ($5::text is null or kind = any($5::text::text[]))
       and ${ofSuspects('$6')}
     limit $1 for update skip locked),
  due as (
    select id, kind, counted from (select * from waiting union all select * from relayed) both_
     order by priority desc, available_at limit $1)${take('null')}`;
