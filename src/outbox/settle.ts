// The step *settle*: an attempt's end is written under its claim token; a stale token changes nothing (invariant C).
// One statement applies a batch: the rows, the attempts that did not succeed, and the messages and notes that a delivery adds. Where there is
// nothing but rows, plain.ts has a shorter one.

import { arrayText } from '../db/values.ts';
import { checkMessage } from './message.ts';
import { noteRows, noteRowsOf } from './note.ts';
import type { Settlement } from './outcome.ts';
import { newId } from './id.ts';
import { insertRows, newRows, recordValues } from './record.ts';
import { countEnds } from './ledger.ts';
import { guard } from './transitions.ts';

/** A retryable failure of the last attempt is the end: decided where attempts are counted. */
const exhausted = `(g.ended = 'failed' and m.attempts >= m.max_attempts)`;
/** Of a settled row, as metrics call it. */
const outcome = `case when status = 'dead' then 'dead' when ended = 'failed' then 'retried' else ended end`;
const again = `(g.ended = any ('{failed,released}') and not ${exhausted})`;

// The array beside the join: with statistics from a moment in which nothing was being sent, the join alone reads the table once for each row.
export const settleSql = `
  with g as (
    select * from unnest($1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::float8[], $6::text::bool[],
                         $7::text::text[], $8::text::text[])
      as g(id, token, ended, error, delay_ms, ambiguous, stack, cause)),
  settled as (
    update waybill.outbox_messages m
       set status = case when ${exhausted} then 'dead'
                         when g.ended <> 'released' then g.ended
                         when m.attempts <= 1 then 'pending' else 'failed' end,
           attempts = m.attempts - case when g.ended = 'released' then 1 else 0 end,
           claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null,
           delivered_at = case when g.ended = 'delivered' then now() end,
           dead_at = case when g.ended = 'dead' or ${exhausted} then now() end, dead_cause = case when ${exhausted} then 'exhausted' else g.cause end,
           relayed_at = case when ${again} then null else m.relayed_at end,
           available_at = case when ${again} then now() + (g.delay_ms * interval '1 millisecond') else m.available_at end,
           last_error = case when g.ended <> 'delivered' then coalesce(g.error, m.last_error) end, prefetched = null,
           revision = m.revision + 1
      from g
     where m.id = any(array(select id from g)) and m.id = g.id and m.claim_token = g.token and ${guard('deliver', 'm.status')}
    returning m.id, m.kind, m.queue, m.status, date_part('epoch', clock_timestamp() - m.created_at) as seconds, g.ended, g.error, g.stack, g.ambiguous),
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error, stack)
    select o.id, o.attempts, o.claimed_at, o.claimed_by,
           case when s.ambiguous and s.status <> 'dead' then 'ambiguous' when s.ended = 'released' then 'released'
                when s.status = 'dead' then 'dead' else 'retried' end, s.error, s.stack
      from settled s join waybill.outbox_messages o on o.id = s.id
     where s.ended <> 'delivered' and (s.ended <> 'released' or s.error is not null)),
  added as (${insertRows(`${newRows(9)} join settled s on s.id = n.parent_id`)}),
  noted as (
    insert into waybill.outbox_notes (message_id, type, recipient, detail, reference)
    select r.message_id, r.type, r.recipient, r.detail, r.reference
      from ${noteRows('$21')} join settled s on s.id = r.message_id),${countEnds(outcome)}
  select id::text as id, status, seconds::text as seconds from settled`;

/**
 * The statement's values. Messages to add carry the settled message as their parent.
 * @throws WaybillError when a message to add is not fit to be recorded
 */
export function settleValues(settlements: readonly Settlement[], maxPayloadBytes: number): unknown[] {
  const sorted = settlements.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const added = sorted.flatMap((s) =>
    s.to === 'delivered'
      ? s.then.map((m) => ({ ...checkMessage({ ...m, parentId: s.id }, maxPayloadBytes), id: newId() }))
      : [],
  );
  return [
    arrayText(sorted.map((s) => s.id)),
    arrayText(sorted.map((s) => s.claimToken)),
    arrayText(sorted.map((s) => s.to)),
    arrayText(sorted.map((s) => ('error' in s ? s.error : null))),
    arrayText(sorted.map((s) => ('delay' in s ? s.delay : 0))),
    arrayText(sorted.map((s) => ('ambiguous' in s ? s.ambiguous : false))),
    arrayText(sorted.map((s) => ('stack' in s ? s.stack : null))),
    arrayText(sorted.map((s) => (s.to === 'dead' ? (s.cause ?? 'permanent') : null))),
    ...recordValues(added),
    JSON.stringify(sorted.flatMap(noteRowsOf)),
  ];
}
