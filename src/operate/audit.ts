// The audit of acts: who did what to which messages, queues or jobs, when and why. The console, HTTP and the command line call the same functions,
// and each of these records its act in the transaction that does it.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import type { Transactions } from '../db/transaction.ts';
import type { Milliseconds } from '../ports.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { hideSecrets } from '../redaction/redact.ts';
import { cursorAfter, placeOfCursor } from './cursor.ts';
import { defaultPageSize, pageSize, type Paging } from './filter.ts';
import { knownWord, several, single, type Texts } from './texts.ts';
import { agoOf, pastTime, type Ago } from './time.ts';

/** Who acts, and why. */
export type Actor = {
  /** The person as named by the caller, or the name of the key. */
  readonly by: string;
  /** The name of the admin key; null on the command line. */
  readonly key: string | null;
  readonly via: 'http' | 'cli' | 'console';
  readonly requestId: string | null;
  readonly reason: string | null;
};

export const acts = [
  'bulk.pause',
  'bulk.resume',
  'bulk.start',
  'bulk.stop',
  'cron.backfill',
  'cron.disable',
  'cron.enable',
  'cron.run',
  'failures.mute',
  'failures.unmute',
  'group.cancel',
  'group.pause',
  'group.resume',
  'inbox.empty',
  'key.unblock',
  'message.cancel',
  'message.copy',
  'message.end',
  'message.erase',
  'message.reschedule',
  'message.retry',
  'message.run',
  'message.show',
  'messages.export',
  'messages.import',
  'messages.retry',
  'person.erase',
  'person.find',
  'process.quiet',
  'process.resume',
  'queue.limit',
  'queue.pause',
  'queue.reset',
  'queue.resume',
  'session.start',
  'suppression.add',
  'suppression.remove',
  'webhooks.replay',
] as const;
export type ActName = (typeof acts)[number];

export type Act = {
  readonly act: ActName;
  /** Id of the message, name of the queue … Not an address. */
  readonly target?: string;
  readonly filter?: object;
  readonly count?: number;
  readonly detail?: object;
};

/** Values: by, key, via, request id, reason, act, target, filter, count, detail. */
export const recordActSql = `
  insert into waybill.audit (by, key, via, request_id, reason, act, target, filter, count, detail)
  values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10::text::jsonb)`;

/** `by ann (cli): the bank is back`. @param before words before the name */
export function whoText(
  { by, via, reason }: Pick<Actor, 'by' | 'reason'> & { via: string },
  before = 'by',
): string {
  const why = reason === null ? '' : `: ${shownReason(reason)}`;
  return `${before} ${by.slice(0, 200)} (${via})${why}`;
}

const shownReason = (reason: string): string => maskAddresses(hideSecrets(reason)).slice(0, 1_000);

/** Addresses in the filter, the detail and the reason are masked. */
export async function recordAct(db: Executor, actor: Actor, act: Act): Promise<void> {
  const { by, key, via, requestId, reason } = actor;
  const json = (value: object | undefined): string | null =>
    value ? maskAddresses(JSON.stringify(value)) : null;
  await db.executeSql(recordActSql, [
    by.slice(0, 200),
    key,
    via,
    requestId,
    reason === null ? null : shownReason(reason),
    act.act,
    act.target ?? null,
    json(act.filter),
    act.count ?? null,
    json(act.detail),
  ]);
}

/**
 * Does something and records it, in one transaction: both or neither.
 * @param body gets the transaction
 */
export async function audited<T>(
  db: Transactions,
  actor: Actor,
  act: Act,
  body: (tx: Executor) => Promise<T>,
): Promise<T> {
  return db.transaction(async (tx) => {
    const result = await body(tx);
    await recordAct(tx, actor, act);
    return result;
  });
}

export type ActView = Omit<Actor, 'via'> &
  Required<Pick<Act, 'act'>> & {
    readonly id: string;
    readonly at: Moment;
    readonly via: string;
    readonly target: string | null;
    readonly filter: object | null;
    readonly count: number | null;
    readonly detail: object | null;
  };

export type AuditFilter = Paging & {
  readonly act?: readonly ActName[] | undefined;
  readonly by?: string | undefined;
  readonly target?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  readonly ago?: Ago | undefined;
};

/** @throws WaybillError `invalid_act`, `invalid_filter`, `invalid_time`, `invalid_limit` */
export function parseAuditFilter(given: { readonly [Part in keyof AuditFilter]?: Texts }): AuditFilter {
  return {
    act: several('act', given.act)?.map((text) => knownWord('act', acts, text)),
    by: single('by', given.by),
    target: single('target', given.target),
    since: pastTime('since', given.since),
    until: pastTime('until', given.until),
    ago: agoOf(given),
    limit: pageSize(given.limit),
    cursor: single('cursor', given.cursor),
  };
}

/** Values: acts, by, target, since, until, id before which to begin; each or null; limit. Newest first. */
export const listActsSql = `
  select id::text as id, ${momentText('at')} as at, by, key, via, act, target, filter, count, detail, reason, request_id as "requestId"
    from waybill.audit a
   where ($1::text[] is null or act = any($1)) and ($2::text is null or by = $2) and ($3::text is null or target = $3)
     and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5) and ($6::bigint is null or a.id < $6)
   order by a.id desc limit $7`;

/** @throws WaybillError `invalid_cursor` */
export async function listActs(
  db: Executor,
  { limit = defaultPageSize, cursor, ...filter }: AuditFilter,
): Promise<{ readonly acts: readonly ActView[]; readonly nextCursor: string | null }> {
  const listed = { list: 'audit', filter };
  const before = cursor === undefined ? null : placeOfCursor(cursor, listed);
  const { act, by, target, since, until } = filter;
  const values = [act ?? null, by ?? null, target ?? null, since ?? null, until ?? null, before, limit + 1];
  type Row = Omit<ActView, 'at'> & { readonly at: string };
  const { rows } = await db.executeSql<Row>(listActsSql, values);
  const page = rows.slice(0, limit).map((row) => ({ ...row, at: momentOf(row.at) }));
  const last = rows.length > limit ? page.at(-1) : undefined;
  return { acts: page, nextCursor: last ? cursorAfter(last.id, listed) : null };
}

/** Ids are in the order of time, so it looks at the first ones only. Values: retention in ms, rows. */
export const pruneActsSql = `
  with allowed as materialized (select set_config('waybill.prune_audit', 'on', true) as on)
  delete from waybill.audit where id in (
    select id from allowed, lateral (
      select id, at from waybill.audit order by id limit $2) oldest
     where at < now() - $1 * interval '1 millisecond')
  returning true`;

/** @returns how many rows were deleted */
export async function pruneActs(db: Executor, retentionMs: Milliseconds, limit: number): Promise<number> {
  return (await db.executeSql(pruneActsSql, [retentionMs, limit])).rows.length;
}
