// The preview of a bulk act: how many messages it would change, which, what it would skip and why, and what to do before.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { beginning, type Transactions } from '../db/transaction.ts';
import { timeText } from '../db/values.ts';
import { guard } from '../message/transitions.ts';
import { inFlight, isClosed, waits } from '../outbox/waiting.ts';
import { relaysAlive } from './bulk.ts';
import type { BulkAction, BulkTask } from './bulk-task.ts';
import { given } from './contents.ts';
import { whereOf, type MessageFilter } from './filter.ts';
import { isErased, keyIsFree, keyStandsAlone } from './free-key.ts';
import { viewColumns, viewOf, type MessageView, type ViewRow } from './read.ts';

/** Matches are counted up to this many. */
export const mostCounted = 100_000;
const mostNamed = 20;
const samples = 10;

export type Share = { readonly value: string; readonly count: number };

export type BulkPreview = {
  readonly action: BulkAction;
  readonly due: Date | null;
  readonly matched: number;
  /** There are more than `matched`; the rest of the preview is about that many. */
  readonly atLeast: boolean;
  /** The most frequent 20 of each. */
  readonly byName: readonly Share[];
  readonly byQueue: readonly Share[];
  readonly byStatus: readonly Share[];
  /** When the oldest and the newest were recorded. */
  readonly oldest: Moment | null;
  readonly newest: Moment | null;
  /** The newest ten. */
  readonly samples: readonly MessageView[];
  /** Reason → number of messages that would stay as they are. `sending` ones are not in `matched`, the others are. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
};

type Row = {
  readonly matched: number;
  readonly byName: readonly Share[];
  readonly byQueue: readonly Share[];
  readonly byStatus: readonly Share[];
  readonly oldest: string | null;
  readonly newest: string | null;
  readonly ids: readonly string[];
  readonly unfit: number;
  readonly erased: number;
  readonly bounded: boolean;
  readonly open: readonly string[];
  readonly closed: readonly string[];
  readonly relays: number;
};

const share = (column: string): string => `coalesce((
    select jsonb_agg(jsonb_build_object('value', value, 'count', n) order by n desc, value) from (
      select ${column} as value, count(*)::int as n from found group by 1 order by 2 desc, 1 limit ${mostNamed}) s), '[]')`;

const columns =
  'id, kind, name, queue, status, delivery_key, shared_key, created_at, available_at, order_due';

/** The matching messages, by the smallest index that has them: of the waiting ones also those that an older message of their key holds back. */
function foundSql({ action, filter, statuses }: BulkTask): {
  readonly text: string;
  readonly values: unknown[];
} {
  const { conditions, values } = whereOf(filter);
  const states = `status = any($${values.push(statuses)}::text[])`;
  const from = (...more: string[]): string =>
    `select ${columns} from waybill.outbox_messages where ${[...more, ...conditions, states].join(' and ')}`;
  if (action === 'erase') return { text: erasableSql(filter, from(), [...conditions, states]), values };
  if (statuses.every((status) => status === 'pending' || status === 'failed')) {
    const held = `id in (select message_id from waybill.outbox_keys where pruned_at = 'infinity') and not (${waits()})`;
    return { text: `${from(waits())} union all ${from(held)}`, values };
  }
  const ended = statuses.map((status) =>
    status === 'dead' ? 'dead_at is not null' : 'cancelled_at is not null',
  );
  return { text: from(`(${ended.join(' or ')})`), values };
}

/** Without an index for its filter, a preview of an erasure looks at the newest messages. */
const mostRead = 500_000;

const hasIndex = ({ to, tag, keyPrefix, deliveryKey, since, deadSince }: MessageFilter): boolean =>
  [to, tag, deliveryKey].some(given) || [keyPrefix, since, deadSince].some((one) => one !== undefined);

function erasableSql(filter: MessageFilter, all: string, conditions: readonly string[]): string {
  if (hasIndex(filter)) return all;
  return `select ${columns} from (select * from waybill.outbox_messages order by id desc limit ${mostRead}) n where ${conditions.join(' and ')}`;
}

/** SQL expression: there are messages that the preview did not look at. */
const isBounded = ({ action, filter }: BulkTask): string =>
  action === 'erase' && !hasIndex(filter)
    ? `(select count(*) from (select from waybill.outbox_messages limit ${mostRead + 1}) b) > ${mostRead}`
    : 'false';

/** Of the found ones. */
function unfitSql({ action, due }: BulkTask, values: unknown[]): string {
  if (action === 'hold')
    return `select count(*)::int from found where coalesce(case when available_at = 'infinity' then order_due end, available_at)
      >= $${values.push(timeText(due))}::text::timestamptz`;
  if (action === 'erase') return `select count(*)::int from found m where ${isErased}`;
  if (action !== 'retry') return 'select 0';
  return `select count(*)::int from (
      select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, shared_key, id::text) order by id desc) as place from found m where not ${isErased}) m
     where not (place = 1 and ${keyIsFree} and ${keyStandsAlone})`;
}

export function previewSql(task: BulkTask): { readonly text: string; readonly values: unknown[] } {
  const { text, values } = foundSql(task);
  const unfit = unfitSql(task, values);
  const closed = `select name from waybill.queues where ${isClosed}`;
  return {
    text: `
  with found as materialized (select * from (${text}) f limit ${mostCounted + 1})
  select (select count(*)::int from found) as matched, ${share('name')} as "byName", ${share('queue')} as "byQueue", ${share('status')} as "byStatus",
         (select ${momentText('min(created_at)')} from found) as oldest, (select ${momentText('max(created_at)')} from found) as newest,
         array(select id::text from found order by id desc limit ${samples}) as ids,
         (${unfit}) as unfit,
         ${task.action === 'retry' || task.action === 'erase' ? `(select count(*) from found m where ${isErased})` : '0'}::int as erased,
         ${isBounded(task)} as bounded,
         array(select queue from found where queue <> all(array(${closed})) group by 1 order by count(*) desc limit 3) as open,
         array(select queue from found where queue = any(array(${closed})) group by 1 order by count(*) desc limit 3) as closed,
         ${relaysAlive} as relays`,
    values,
  };
}

/** Messages in flight: they end first, and are not changed. */
async function countSending(db: Executor, { action, filter }: BulkTask): Promise<number> {
  if (action === 'retry') return 0;
  const { conditions, values } = whereOf(filter);
  const where = [inFlight(), guard('deliver'), ...conditions].join(' and ');
  const sql = `select count(*)::int as n from waybill.outbox_messages where ${where}`;
  return (await db.executeSql<{ n: number }>(sql, values)).rows[0]!.n;
}

/** Whatever the statistics say: each part of the statement has its index. */
export const beginPreview = `${beginning}; set local enable_seqscan = off`;

export async function previewBulk(db: Transactions, task: BulkTask): Promise<BulkPreview> {
  return db.transaction((tx) => previewIn(tx, task), beginPreview);
}

/** The same in a transaction that has begun. Its later statements read no table from end to end either. */
export async function previewWithin(tx: Executor, task: BulkTask): Promise<BulkPreview> {
  await tx.executeSql('set local enable_seqscan = off');
  return previewIn(tx, task);
}

async function previewIn(db: Executor, task: BulkTask): Promise<BulkPreview> {
  const { text, values } = previewSql(task);
  const row = (await db.executeSql<Row>(text, values)).rows[0]!;
  const sending = await countSending(db, task);
  const { rows } = await db.executeSql<ViewRow>(
    `select ${viewColumns} from waybill.outbox_messages where id = any($1::uuid[]) order by id desc`,
    [row.ids],
  );
  const skipped = {
    ...(sending > 0 && { sending }),
    ...(row.erased > 0 && { erased: row.erased }),
    ...(task.action !== 'erase' &&
      row.unfit > 0 && { [task.action === 'hold' ? 'due_later' : 'delivery_key_taken']: row.unfit }),
  };
  return {
    action: task.action,
    due: task.due,
    matched: Math.min(row.matched, mostCounted),
    atLeast: row.matched > mostCounted || row.bounded,
    byName: row.byName,
    byQueue: row.byQueue,
    byStatus: row.byStatus,
    oldest: momentOf(row.oldest),
    newest: momentOf(row.newest),
    samples: rows.map(viewOf),
    skipped,
    warnings: warningsOf(task, row, sending),
  };
}

function warningsOf({ action }: BulkTask, { open, closed, relays, matched }: Row, sending: number): string[] {
  if (matched === 0) return [];
  const warnings: string[] = [];
  if (action === 'cancel' || action === 'hold')
    for (const queue of open)
      warnings.push(
        `the queue ${queue} is open: its messages go on being delivered, and more may come. Pause it first: waybill queues pause ${queue}`,
      );
  if (action !== 'cancel' && action !== 'erase')
    for (const queue of closed)
      warnings.push(`the queue ${queue} is closed: its messages wait until it opens (waybill queues list)`);
  if (sending > 0) warnings.push(`${sending} messages are being sent: they end first, and are not changed`);
  if (relays === 0) warnings.push('no relay is alive: the act begins as soon as one runs');
  return warnings;
}
