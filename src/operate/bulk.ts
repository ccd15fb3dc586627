// A bulk act as an object: what a person started, how far it is, and what came of it. The relay works it off (src/relay/bulk.ts).

import type { Executor } from '../db/executor.ts';
import { isNotGone } from '../db/liveness.ts';
import { momentOf, momentText, textOfMoment, withMoments, type Moment } from '../db/moment.ts';
import { WaybillError } from '../errors.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import type { Milliseconds } from '../ports.ts';
import { cleanError } from '../redaction/redact.ts';
import type { BulkAction } from './bulk-task.ts';
import { cursorAfter, placeOfCursor } from './cursor.ts';
import { defaultPageSize, pageSize, type Paging } from './filter.ts';
import { knownWord, several, single, type Texts } from './texts.ts';
import { isMessageId } from './read.ts';

export const bulkStates = ['running', 'paused', 'stopped', 'done', 'failed'] as const;
export type BulkState = (typeof bulkStates)[number];

/** For relays: a bulk act may go on. */
export const bulkChannel = 'waybill_bulk';

export type BulkView = {
  readonly id: string;
  readonly action: BulkAction;
  /** As it was given; addresses are masked. */
  readonly filter: Readonly<Record<string, unknown>>;
  /** The new due time of hold and reschedule. */
  readonly due: Moment | null;
  readonly state: BulkState;
  /** Messages per second; null: no limit. */
  readonly rate: number | null;
  /** The act ends after so many changes; null: no limit. */
  readonly limit: number | null;
  /** Counted at the start … */
  readonly matched: number;
  /** … and there were more than that. */
  readonly atLeast: boolean;
  readonly changed: number;
  /** Reason → number of messages that were not changed. */
  readonly skipped: Readonly<Record<string, number>>;
  /** Messages that another transaction had locked; they are visited again. */
  readonly locked: number;
  readonly lastError: string | null;
  readonly by: string;
  readonly via: string;
  readonly reason: string | null;
  readonly createdAt: Moment;
  readonly startedAt: Moment | null;
  readonly workedAt: Moment | null;
  readonly endedAt: Moment | null;
  /** Relay processes that are alive: they work the acts off. */
  readonly relays: number;
  /** What a person should know or do; null: nothing. */
  readonly note: string | null;
};

const times = ['due', 'createdAt', 'startedAt', 'workedAt', 'endedAt'] as const;

export const relaysAlive = `(select count(*)::int from waybill.processes
  where (role = 'all' or 'relay' = any(string_to_array(role, '+'))) and ${isNotGone})`;

const columns = `id::text as id, action, filter, ${momentText(`(arguments ->> 'due')::timestamptz`)} as due, state, rate, most as "limit",
  matched, at_least as "atLeast", changed, skipped, (select count(*)::int from waybill.bulk_locked l where l.act_id = b.id) as locked,
  last_error as "lastError", by, via, reason, ${momentText('created_at')} as "createdAt", ${momentText('started_at')} as "startedAt",
  ${momentText('worked_at')} as "workedAt", ${momentText('ended_at')} as "endedAt", ${relaysAlive} as relays`;

type Row = Omit<BulkView, (typeof times)[number] | 'note'> &
  Readonly<Record<(typeof times)[number], string | null>>;

function viewOf(row: Row): BulkView {
  const view = withMoments(row, times);
  return {
    ...view,
    createdAt: momentOf(row.createdAt!),
    filter: masked(row.filter),
    lastError: row.lastError === null ? null : cleanError(row.lastError),
    note: noteOf(row),
  };
}

/** An address in a filter is shown as elsewhere: recognisable, and not usable. */
export function masked(filter: object): Record<string, unknown> {
  return JSON.parse(JSON.stringify(filter), (_, value: unknown) =>
    typeof value === 'string' ? maskAddresses(value) : value,
  ) as Record<string, unknown>;
}

function noteOf({ state, relays, locked, id }: Row): string | null {
  if (state === 'failed') return `it failed: mend the cause, then \`waybill bulk resume ${id}\``;
  if (state !== 'running') return null;
  if (relays === 0) return 'no relay is alive: it goes on as soon as one runs';
  return locked > 0
    ? `${locked} messages are locked by other transactions: they are tried again each second`
    : null;
}

export const showBulkSql = `select ${columns} from waybill.bulk_acts b where id = $1::uuid`;

/** @throws WaybillError `invalid_id`, `not_found` */
export async function showBulk(db: Executor, id: string): Promise<BulkView> {
  if (!isMessageId(id))
    throw new WaybillError(
      'invalid_id',
      `${JSON.stringify(String(id).slice(0, 80))} is no id of a bulk act: an id is a UUID`,
    );
  const [row] = (await db.executeSql<Row>(showBulkSql, [id])).rows;
  if (row) return viewOf(row);
  throw new WaybillError(
    'not_found',
    `there is no bulk act ${id}: \`waybill bulk list\` shows those there are`,
  );
}

export type BulkFilter = Paging & { readonly state?: readonly BulkState[] | undefined };

/** @throws WaybillError `invalid_state`, `invalid_limit`, `invalid_filter` */
export function parseBulkFilter(given: { readonly [Part in keyof BulkFilter]?: Texts }): BulkFilter {
  return {
    state: several('state', given.state)?.map((text) => knownWord('state', bulkStates, text)),
    limit: pageSize(given.limit),
    cursor: single('cursor', given.cursor),
  };
}

/** Values: states or null, id before which to begin or null, limit. Newest first. */
export const listBulkSql = `
  select ${columns} from waybill.bulk_acts b
   where ($1::text[] is null or state = any($1)) and ($2::uuid is null or b.id < $2) order by b.id desc limit $3`;

/** @throws WaybillError `invalid_cursor` */
export async function listBulk(
  db: Executor,
  { limit = defaultPageSize, cursor, ...filter }: BulkFilter = {},
): Promise<{ readonly bulkActs: readonly BulkView[]; readonly nextCursor: string | null }> {
  const listed = { list: 'bulk', filter };
  const before = cursor === undefined ? null : placeOfCursor(cursor, listed);
  const { rows } = await db.executeSql<Row>(listBulkSql, [filter.state ?? null, before, limit + 1]);
  const page = rows.slice(0, limit).map(viewOf);
  const last = rows.length > limit ? page.at(-1) : undefined;
  return { bulkActs: page, nextCursor: last ? cursorAfter(last.id, listed) : null };
}

export type NewBulk = Pick<
  BulkView,
  'id' | 'action' | 'rate' | 'limit' | 'matched' | 'atLeast' | 'by' | 'via' | 'reason'
> & {
  /** As given: it is parsed again for each batch. */
  readonly filter: object;
  readonly due: Date | null;
};

/** Values: id, action, filter, arguments, rate, limit, matched, whether there are more, by, via, reason, channel. Without a message it is done. */
export const startBulkSql = `
  insert into waybill.bulk_acts (id, action, filter, arguments, rate, most, matched, at_least, by, via, reason, newest, state, ended_at)
  values ($1::uuid, $2, $3::text::jsonb, $4::text::jsonb, $5, $6, $7, $8, $9, $10, $11,
          (select id from waybill.outbox_messages order by id desc limit 1),
          case when $7 = 0 then 'done' else 'running' end, case when $7 = 0 then now() end)
  returning pg_notify('${bulkChannel}', id::text)`;

export async function insertBulk(db: Executor, act: NewBulk): Promise<void> {
  const { id, action, filter, due, rate, limit, matched, atLeast, by, via, reason } = act;
  await db.executeSql(startBulkSql, [
    id,
    action,
    JSON.stringify(filter),
    JSON.stringify(due === null ? {} : { due }),
    rate,
    limit,
    matched,
    atLeast,
    by.slice(0, 200),
    via,
    reason === null ? null : cleanError(reason),
  ]);
}

/** What a person may do to an act, from which states. */
const moves = {
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused', 'failed'], to: 'running' },
  stop: { from: ['running', 'paused', 'failed'], to: 'stopped' },
} as const satisfies Record<string, { readonly from: readonly BulkState[]; readonly to: BulkState }>;
export type BulkMove = keyof typeof moves;

/** Values: id, the states from which it is allowed, the new state, the filter without addresses. It waits for a batch that is under way. */
export const moveBulkSql = `
  update waybill.bulk_acts
     set state = $3, errors = 0, next_at = null, ended_at = case when $3 = 'stopped' then clock_timestamp() end,
         filter = case when $3 = 'stopped' then $4::text::jsonb else filter end
   where id = $1::uuid and state = any($2::text[])
  returning pg_notify('${bulkChannel}', id::text)`;

/** @throws WaybillError `invalid_id`, `not_found`, `state_conflict` */
export async function moveBulk(db: Executor, id: string, move: BulkMove): Promise<BulkView> {
  const { state, endedAt, filter } = await showBulk(db, id);
  const { from, to } = moves[move];
  if ((await db.executeSql(moveBulkSql, [id, from, to, JSON.stringify(filter)])).rows.length > 0)
    return showBulk(db, id);
  const since = endedAt === null ? '' : ` since ${textOfMoment(endedAt)}`;
  throw new WaybillError(
    'state_conflict',
    `the bulk act ${id} is ${state}${since}: ${move} is possible only while it is ${from.join(' or ')}`,
  );
}

/** Values: retention in ms, rows. */
export const pruneBulkSql = `
  delete from waybill.bulk_acts where id in (
    select id from waybill.bulk_acts where ended_at < now() - $1 * interval '1 millisecond' order by id limit $2)`;

export async function pruneBulk(db: Executor, retentionMs: Milliseconds, limit: number): Promise<void> {
  await db.executeSql(pruneBulkSql, [retentionMs, limit]);
}
