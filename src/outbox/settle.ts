// The step *settle*: writes the ends of attempts under their claim tokens; a stale token changes nothing (invariant C).
// One statement writes a batch, with only the parts that the batch needs. Most messages end `delivered`, which updates their rows and the
// audit counters. CTEs for failed attempts, messages to add and notes are included when there are any (npm run bench -- drain).

import { arrayText, numberOf, textOf, uuidsAsBinary, uuidsAsText } from '../db/values.ts';
import type { Executor } from '../db/executor.ts';
import { withoutReplace } from '../message/duplicate.ts';
import { checkMessage, type Status } from '../message/message.ts';
import { noteRows, noteRowsOf } from './note.ts';
import type { Settlement } from '../message/outcome.ts';
import type { Settled } from './port.ts';
import { newId } from '../message/id.ts';
import { hasFlow, insertRows, newRows, recordColumns, recordValues } from './record.ts';
import { sealed } from './sealing.ts';
import { droppedPayload, type PayloadKeys } from '../message/seal.ts';
import { either, endMessages, guard, transitions, type Columns } from '../message/transitions.ts';

export type Batch = {
  /** All messages are delivered, and none is in the batch twice: then ids and tokens are enough. */
  readonly delivered: 'alone' | 'under one token' | 'under their tokens' | false;
  /** Whether it adds messages; `with flow`: one of them has a group, an order key or tags. */
  readonly adds: boolean | 'with flow';
  readonly notes: boolean;
  /** Payloads of sensitive messages are dropped. */
  readonly drops?: boolean;
};

const seconds = `date_part('epoch', clock_timestamp() - m.created_at) as seconds`;

/** Of the messages that say so themselves. */
const dropped = {
  payload: `case when m.payload -> '$sealed' ->> 'keep' = 'false' then '${droppedPayload}' else m.payload end`,
};

function deliverParts(delivered: Exclude<Batch['delivered'], false>, drops: boolean): string {
  // Postgres plans again for each array, because it guesses ten ids for a plan that it would keep. It keeps the plan for one id.
  const id = delivered === 'alone' ? '= $1::uuid' : '= any($1::uuid[])';
  const token =
    delivered === 'under their tokens' ? '($2::uuid[])[array_position($1::uuid[], m.id)]' : '$2::uuid';
  const where = `where m.id ${id} and m.claim_token = ${token} and ${guard('deliver', 'm.status')}`;
  const set = { ...transitions.deliver.set(), ...(drops && dropped) };
  return endMessages(set, where, `'delivered'`, seconds);
}

/** A retryable failure of the last attempt ends the message. SQL decides, because the row has the count. */
const exhausted = `(g.ended = 'failed' and m.attempts >= m.max_attempts)`;
const error = 'coalesce(g.error, m.last_error)';
const due = `(now() + (g.delay_ms * interval '1 millisecond'))`;

const setFor = (drops: boolean): Columns =>
  either(
    [`g.ended = 'delivered'`, { ...transitions.deliver.set(), ...(drops && dropped) }],
    [exhausted, transitions.kill.set({ error, cause: `'exhausted'` })],
    [`g.ended = 'dead'`, transitions.kill.set({ error, cause: 'g.cause' })],
    [`g.ended = 'released'`, transitions.release.set({ due, error })],
    ['else', transitions.fail.set({ due, error })],
  );

// Beside the join there is an array: if statistics say that nothing is `sending`, the join alone reads the table once for each row.
const where = `from g where m.id = any(array(select id from g)) and m.id = g.id and m.claim_token = g.token and ${guard('deliver', 'm.status')}`;

/** Outcome of a settled row, as in the metrics. */
const outcome = `case when status = 'dead' then 'dead' when ended = 'failed' then 'retried' else ended end`;

const mixedParts = (drops: boolean): string => `g as (
    select * from unnest($1::text::uuid[], $2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::float8[], $6::text::bool[],
                         $7::text::text[], $8::text::text[])
      as g(id, token, ended, error, delay_ms, ambiguous, stack, cause)),
  ${endMessages(setFor(drops), where, outcome, `m.status, ${seconds}, g.ended, g.error, g.stack, g.ambiguous`)},
  tried as (
    insert into waybill.outbox_attempts (message_id, attempt, started_at, worker, outcome, error, stack)
    select o.id, o.attempts, o.claimed_at, o.claimed_by,
           case when s.ambiguous and s.status <> 'dead' then 'ambiguous' when s.ended = 'released' then 'released'
                when s.status = 'dead' then 'dead' else 'retried' end, s.error, s.stack
      from ended s join waybill.outbox_messages o on o.id = s.id
     where s.ended <> 'delivered' and (s.ended <> 'released' or s.error is not null))`;

/** Messages to add and notes are written only if this statement settled their message. */
export function settleText({ delivered, adds, notes, drops = false }: Batch): string {
  const first = delivered ? 3 : 9;
  const flow = adds === 'with flow';
  const added = `,
  added as (${insertRows(`${newRows(first, flow)} join ended s on s.id = n.parent_id`, flow)})`;
  const noted = `,
  noted as (
    insert into waybill.outbox_notes (message_id, type, recipient, detail, reference)
    select r.message_id, r.type, r.recipient, r.detail, r.reference
      from ${noteRows(`$${first + (adds ? recordColumns(flow) : 0)}`)} join ended s on s.id = r.message_id)`;
  return `
  with ${delivered ? deliverParts(delivered, drops) : mixedParts(drops)}${adds ? added : ''}${notes ? noted : ''}
  select id::text as id, ${delivered ? '' : 'status, '}seconds::text as seconds from ended`;
}

const texts = new Map<string, string>();

/** Statements are cached as strings, so that their prepared plans are found. */
function textOfBatch(batch: Batch): string {
  const name = `${batch.delivered} ${batch.adds} ${batch.notes} ${batch.drops ?? false}`;
  let text = texts.get(name);
  if (text === undefined) texts.set(name, (text = settleText(batch)));
  return text;
}

function batchOf(settlements: readonly Settlement[]): Batch {
  const { claimToken } = settlements[0]!;
  let [delivered, together, notes, drops] = [true, true, false, false];
  let adds: Batch['adds'] = false;
  for (const one of settlements) {
    if (one.claimToken !== claimToken) together = false;
    if (one.to !== 'delivered') {
      delivered = false;
      continue;
    }
    if (one.then.length > 0 && adds !== 'with flow') adds = hasFlow(one.then) ? 'with flow' : true;
    if (one.notes !== undefined && one.notes.length > 0) notes = true;
    if (one.drops) drops = true;
  }
  // A message is in a batch twice when an earlier lease expired and both attempts have ended.
  if (delivered && new Set(settlements.map(({ id }) => id)).size < settlements.length) delivered = false;
  return {
    delivered:
      delivered && (settlements.length === 1 ? 'alone' : together ? 'under one token' : 'under their tokens'),
    adds,
    notes,
    drops,
  };
}

/**
 * The statement of a batch. Messages to add carry the settled message as their parent.
 * @param isBinary arrays of ids may go to the server in binary
 * @throws WaybillError when a message to add is not fit to be recorded
 */
export function settleStatement(
  settlements: readonly Settlement[],
  keys: PayloadKeys,
  isBinary = false,
): { readonly sql: string; readonly values: unknown[] } {
  const batch = batchOf(settlements);
  const uuids = isBinary ? uuidsAsBinary : uuidsAsText;
  const { id, claimToken } = settlements[0]!;
  const values: unknown[] = batch.delivered
    ? [
        batch.delivered === 'alone' ? id : uuids(settlements.map((one) => one.id)),
        batch.delivered === 'under their tokens'
          ? uuids(settlements.map((one) => one.claimToken))
          : claimToken,
      ]
    : mixedValues(settlements);
  if (batch.adds) values.push(...recordValues(addedBy(settlements, keys), batch.adds === 'with flow'));
  if (batch.notes) values.push(JSON.stringify(settlements.flatMap(noteRowsOf)));
  return { sql: textOfBatch(batch), values };
}

function mixedValues(settlements: readonly Settlement[]): unknown[] {
  const sorted = settlements.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return [
    arrayText(sorted.map((s) => s.id)),
    arrayText(sorted.map((s) => s.claimToken)),
    arrayText(sorted.map((s) => s.to)),
    arrayText(sorted.map((s) => ('error' in s ? s.error : null))),
    arrayText(sorted.map((s) => ('delay' in s ? s.delay : 0))),
    arrayText(sorted.map((s) => ('ambiguous' in s ? s.ambiguous : false))),
    arrayText(sorted.map((s) => ('stack' in s ? s.stack : null))),
    arrayText(sorted.map((s) => (s.to === 'dead' ? (s.cause ?? 'permanent') : null))),
  ];
}

/**
 * The messages to add. Their payloads have no limit of size: each is made from the payload of its parent, which was within the limit when it was
 * recorded, and may have become a little longer since, or the limit smaller. What was delivered must not end `dead` for that.
 */
function addedBy(settlements: readonly Settlement[], keys: PayloadKeys) {
  return settlements.flatMap((s) =>
    s.to === 'delivered'
      ? s.then.map((m) => {
          const message = withoutReplace(checkMessage({ ...m, parentId: s.id }, Infinity));
          return { ...sealed({ ...message, id: newId() }, keys) } as typeof message & { readonly id: string };
        })
      : [],
  );
}

/** @returns the messages whose token was not stale */
export async function settleOn(
  db: Executor,
  settlements: readonly Settlement[],
  keys: PayloadKeys,
): Promise<Settled[]> {
  if (settlements.length === 0) return [];
  const { sql, values } = settleStatement(settlements, keys, db.isPlanned);
  // A handler's transaction settles one message. A kept plan saves a third of what its job costs Postgres (npm run bench -- work-jobs).
  const { rows } = await db.executeSql(sql, values, db.isPlanned ?? settlements.length === 1);
  return rows.map((row) => ({
    id: textOf(row['id']),
    status: row['status'] === undefined ? 'delivered' : (textOf(row['status']) as Status),
    seconds: numberOf(row['seconds']),
  }));
}
