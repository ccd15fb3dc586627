// One batch of a bulk act. It reads a stretch of ids, from the newest down, and changes the messages in it that the filter matches. Both are bounded,
// so that no statement runs long, however rare the matches are. A row that another transaction has locked is named in the answer, not waited for.

import type { Executor } from '../db/executor.ts';
import { beginning } from '../db/transaction.ts';
import { timeText } from '../db/values.ts';
import { endMessages, guard, transitions, updateMessages } from '../message/transitions.ts';
import { payloadOf, outboxChannel } from '../outbox/notify.ts';
import type { BulkTask } from './bulk-task.ts';
import { bulkKinds } from './bulk-task.ts';
import { ownDue, oldestIdOf, whereOf, type Where } from './filter.ts';
import { eraseMessages } from './erase.ts';
import { isErased, keyIsFree, keyStandsAlone } from './free-key.ts';

/**
 * Begins the transaction of a batch. Whatever the statistics say, a stretch is read in the order of its ids: any other plan reads the table, or sorts it.
 */
export const beginBatch = `${beginning}; set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off`;

/** Messages changed by one batch. */
export const batchSize = 500;
/** Rows read by one batch. */
export const stretchLength = 20_000;

/** Where the walk is. All ids from `reached` on are done; null: it has not begun. */
export type Walk = {
  readonly newest: string;
  readonly reached: string | null;
  /** Text of a timestamptz: messages recorded after it do not belong to the act. */
  readonly since: string;
};

/** What of the messages is read: a stretch of the walk, or these ids. */
type Range = { readonly walk: Walk; readonly floor: string | null } | { readonly ids: readonly string[] };

export type Batch = {
  readonly changed: number;
  /** Reason → number. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Messages that another transaction had locked. */
  readonly locked: readonly string[];
  /** Null: the walk is over. */
  readonly reached: string | null;
};

const lowest = '00000000-0000-0000-0000-000000000000';

type Row = {
  readonly changed: number;
  readonly unfit: number;
  readonly erased: number;
  /** Of `erase`: the messages to be erased. */
  readonly ended: readonly string[];
  readonly seen: readonly string[];
  readonly locked: readonly string[];
  readonly others: Readonly<Record<string, number>>;
  readonly queues: readonly string[];
};

/** The reason why a locked row is not changed; undefined: every row is. */
const unfitReason: Partial<Record<BulkTask['action'], string>> = {
  retry: 'delivery_key_taken',
  hold: 'due_later',
};

/** `got` → `fit`. Of messages with the same delivery key only the newest is retried, with which the others would collide. */
function fitOf({ action, due }: BulkTask, values: unknown[]): string {
  if (action === 'hold')
    return `select id from got where due < $${values.push(timeText(due))}::text::timestamptz`;
  if (action === 'erase') return `select id from got m where not ${isErased}`;
  if (action !== 'retry') return 'select id from got';
  return `
    select id from (
      select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, shared_key, id::text) order by id desc) as place from got m where not ${isErased}) m
     where place = 1 and ${keyIsFree} and ${keyStandsAlone}`;
}

/** A note in the timeline of each changed message. Values: the note. */
function notesOf({ action, note }: BulkTask, values: unknown[]): string {
  if (note === undefined || action === 'erase') return ''; // an erasure notes itself
  return `,
  noted as (
    insert into waybill.outbox_notes (message_id, type, detail) select id, '${bulkKinds[action].done}', $${values.push(note)}::text from ended)`;
}

/** `fit` → `ended(id, queue)`. */
function changeOf({ action, due }: BulkTask, values: unknown[]): string {
  const where = `where m.id = any(array(select id from fit))`;
  if (action === 'erase') return `ended as (select m.id, m.queue from waybill.outbox_messages m ${where})`; // erased by the next statements
  if (action === 'cancel') return endMessages(transitions.cancel.set(), where, `'cancelled'`);
  const set =
    action === 'retry'
      ? transitions.retry.set()
      : transitions.reschedule.set({ due: `$${values.push(timeText(due))}::text::timestamptz` });
  return `ended as (${updateMessages(set)} ${where} returning m.id, m.queue)`;
}

/** @param edge an expression that replaces the floor */
function within(range: Range, { conditions, values }: Where, edge?: string): string[] {
  if ('ids' in range) return [...conditions, `id = any($${values.push(range.ids)}::uuid[])`];
  const { newest, reached, since } = range.walk;
  const upper =
    reached === null ? `id <= $${values.push(newest)}::uuid` : `id < $${values.push(reached)}::uuid`;
  const lower = `id >= ${edge ?? floorOf(range.floor, values)}`;
  return [...conditions, upper, lower, `created_at <= $${values.push(since)}::text::timestamptz`];
}

const floorOf = (floor: string | null, values: unknown[]): string => `$${values.push(floor ?? lowest)}::uuid`;

/** Messages that left the states of a waiting message after the start, or are being sent, with the reason. */
function othersOf(task: BulkTask, range: Range, where: Where, size: number): string {
  const { change } = bulkKinds[task.action];
  if ('ids' in range || change === 'erase' || !countsOthers(task)) return '';
  const since = `$${where.values.push(range.walk.since)}::text::timestamptz`;
  const edge = `case when (select count(*) from seen) < ${size} then ${floorOf(range.floor, where.values)}
                                else (select id from seen order by id limit 1) end`;
  return `
  others as (
    select status as reason, count(*)::int as n from waybill.outbox_messages
     where ${within(range, where, edge).join(' and ')} and not ${guard(change)}
       and (${guard('deliver')} or delivered_at >= ${since} or dead_at >= ${since} or cancelled_at >= ${since})
     group by 1),`;
}

/** Only where the act takes all waiting messages: otherwise such a message may not have been in the act's states at the start. */
export function countsOthers({ action, statuses }: BulkTask): boolean {
  return action !== 'retry' && action !== 'erase' && statuses.length === bulkKinds[action].usual.length;
}

/** @param size messages to change at most */
export function batchSql(
  task: BulkTask,
  range: Range,
  size: number,
): { readonly text: string; readonly values: unknown[] } {
  const where = whereOf(task.filter);
  const { values } = where;
  const inState = `status = any($${values.push(task.statuses)}::text[])`;
  const reading = within(range, where).join(' and ');
  const others = othersOf(task, range, where, size);
  const text = `
  with seen as materialized (
    select id from waybill.outbox_messages where ${reading} and ${inState} order by id desc limit ${size}),
  got as materialized (
    select id, kind, name, delivery_key, shared_key, ${ownDue} as due from waybill.outbox_messages
     where id = any(array(select id from seen)) and ${inState} for update skip locked),
  fit as (${fitOf(task, values)}),${others}
  ${changeOf(task, values)}${notesOf(task, values)}
  select (select count(*) from ended)::int as changed,
         ((select count(*) from got) - (select count(*) from fit))::int as unfit,
         ${task.action === 'erase' ? `array(select id::text from ended)` : `'{}'::text[]`} as ended,
         ${task.action === 'retry' || task.action === 'erase' ? `(select count(*) from got m where ${isErased})` : '0'}::int as erased,
         array(select id::text from seen order by id desc) as seen,
         array(select id::text from seen where id not in (select id from got)) as locked,
         ${others ? `coalesce((select jsonb_object_agg(reason, n) from others), '{}')` : `'{}'::jsonb`} as others,
         array(select distinct queue from ended) as queues`;
  return { text, values };
}

/** Values: id. The last id of a stretch. */
const floorSql = (upper: string): string =>
  `select m.id::text as id from waybill.outbox_messages m where m.id ${upper} $1::uuid order by m.id desc offset ${stretchLength} limit 1`;
export const firstFloorSql = floorSql('<=');
export const nextFloorSql = floorSql('<');

/** The next batch of a walk. @param size messages to change at most */
export async function walkBatch(db: Executor, task: BulkTask, walk: Walk, size: number): Promise<Batch> {
  const sql = walk.reached === null ? firstFloorSql : nextFloorSql;
  const { rows } = await db.executeSql<{ id: string }>(sql, [walk.reached ?? walk.newest]);
  const [found, oldest] = [rows[0]?.id ?? null, oldestIdOf(task.filter)];
  const floor = found !== null && oldest !== null && found < oldest ? null : found; // nothing older matches
  const row = await run(db, task, { walk, floor }, size);
  const reached = row.seen.length === size ? row.seen.at(-1)! : floor;
  return { ...row, skipped: skippedOf(task, row), reached };
}

/** These messages again, which were locked when the walk came by. @param ids at most `batchSize` */
export async function lockedBatch(db: Executor, task: BulkTask, ids: readonly string[]): Promise<Batch> {
  const row = await run(db, task, { ids }, batchSize);
  const left = ids.filter((id) => !row.seen.includes(id));
  const skipped = { ...skippedOf(task, row) };
  for (const reason of await reasonsOf(db, left)) skipped[reason] = (skipped[reason] ?? 0) + 1;
  return { ...row, skipped, reached: null };
}

async function run(db: Executor, task: BulkTask, range: Range, size: number): Promise<Row> {
  const { text, values } = batchSql(task, range, size);
  const row = (await db.executeSql<Row>(text, values)).rows[0]!;
  if (row.ended.length > 0) await eraseMessages(db, row.ended, task.note ?? null);
  const mayBeDue = task.action === 'retry' || task.action === 'reschedule';
  if (mayBeDue && row.queues.length > 0)
    await db.executeSql('select pg_notify($1, $2)', [outboxChannel, payloadOf(row.queues)]);
  return row;
}

function skippedOf({ action }: BulkTask, { unfit, erased, others }: Row): Readonly<Record<string, number>> {
  const reason = unfitReason[action] ?? 'unfit';
  return { ...others, ...(erased > 0 && { erased }), ...(unfit > erased && { [reason]: unfit - erased }) };
}

/** Why messages no longer belong: their state, or that they are gone. */
async function reasonsOf(db: Executor, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const sql = `select id::text as id, status from waybill.outbox_messages where id = any($1::uuid[])`;
  const { rows } = await db.executeSql<{ id: string; status: string }>(sql, [ids]);
  const found = new Map(rows.map(({ id, status }) => [id, status]));
  return ids.map((id) => found.get(id) ?? 'deleted');
}
