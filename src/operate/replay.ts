// Sends webhooks of an endpoint again: dead ones are retried, those that wait for a later attempt are due now, and delivered ones are recorded again
// with the webhook id that they had, by which a receiver knows them.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { NewMessage } from '../message/message.ts';
import { isSealed } from '../message/seal.ts';
import { guard, transitions, updateMessages } from '../message/transitions.ts';
import type { WebhookPayload } from '../message/webhook.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { waits } from '../outbox/waiting.ts';
import { oldestIdOf } from './filter.ts';
import { isErased, keyIsFree, keyStandsAlone, ownKey } from './free-key.ts';

export type ReplayOf = {
  /** Name and queue of the endpoint's messages, and the endpoint as their group. */
  readonly name: string;
  readonly queue: string;
  readonly group: string;
};

export type Replay = ReplayOf & {
  readonly since: Date;
  /** Default: those recorded until it began. */
  readonly until?: Date | undefined;
  readonly all: boolean;
  readonly newIds: boolean;
  /** Where an earlier step ended. Default: it begins. */
  readonly from?: string | undefined;
};

export type ReplayStep = {
  readonly retried: number;
  readonly hastened: number;
  readonly recorded: number;
  /** Where the next step begins; null: that was all. */
  readonly next: string | null;
};

/** How far a replay is. What ends or fails after it began is not part of it, so it comes to an end however fast messages die again. */
type Mark = {
  readonly began: Date;
  /** Id of the last delivered message that was recorded again. Not its time: all that a transaction records has the same. */
  readonly after: string;
};

const markText = ({ began, after }: Mark): string => `${began.getTime()}.${after}`;

/** @throws WaybillError `options_invalid` */
export function readMark(text: string): Mark {
  const [, ms, after] = /^(\d{1,14})\.([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/.exec(text) ?? [];
  if (after === undefined)
    throw new WaybillError('options_invalid', 'webhooks.replay: from must be the `next` of an earlier call');
  return { began: new Date(Number(ms)), after };
}

/** Of each kind, in one step: their payloads are in memory at once. */
const most = 500;

// It began in the course of a millisecond; what it records itself is no older.
const sinceThen = `($6::text::timestamptz + interval '1 millisecond')`;
const own = (m: string): string =>
  `${m}name = $1 and ${m}queue = $2 and ${m}group_key = $3 and ${m}created_at >= $4::text::timestamptz and ${m}created_at < least($5::text::timestamptz, $6::text::timestamptz)`;

const dead = `m.dead_at is not null and m.dead_at >= $4::text::timestamptz and m.dead_at < ${sinceThen} and ${own('m.')}
  and not ${isErased} and ${keyIsFree} and ${keyStandsAlone}`;
const later = `${waits('m.')} and m.status = 'failed' and m.available_at > now() and ${own('m.')}
  and not exists (select from waybill.outbox_attempts a where a.message_id = m.id and a.finished_at >= ${sinceThen})`;
// What an earlier replay recorded is none of what the application recorded: otherwise each replay would double it. The copy says so itself, because
// its original is pruned before it.
const delivered = `m.delivered_at is not null and m.delivered_at < ${sinceThen} and m.id > $7::uuid and ${own('m.')}
  and not ${isErased} and not m.payload ? 'replayOf'`;

/** Values: name, queue, group, since, until or null, when it began, limit. Of messages with the same delivery key only the newest is retried. */
export const retryDeadSql = `
  with got as (
    select m.* from waybill.outbox_messages m where ${dead}
     order by m.dead_at limit $7::int8 for update skip locked),
  newest as (
    select id from (
      select id, row_number() over (partition by kind, name, coalesce(${ownKey}, m.id::text) order by id desc) as place from got m) g
     where place = 1),
  changed as (
    ${updateMessages(transitions.retry.set())} where m.id = any(array(select id from newest)) and ${guard('retry', 'm.status')} returning m.id)
  select (select count(*) from changed)::text as n, (select count(*) from got)::text as found`;

/** The same values. */
export const hastenSql = `
  with got as (
    select m.id from waybill.outbox_messages m where ${later} order by m.available_at limit $7::int8 for update skip locked),
  changed as (
    ${updateMessages(transitions.reschedule.set({ due: 'now()' }))} where m.id = any(array(select id from got)) and ${guard('reschedule', 'm.status')} returning m.id)
  select count(*)::text as n, count(*)::text as found from changed`;

/** With stale statistics the whole table would be read. The transaction may be the application's, so its setting comes back afterwards. */
export const beforeDelivered = 'set local enable_seqscan = off';
const afterDelivered = 'set local enable_seqscan = default';

/** Values: name, queue, group, since, until or null, when it began, the id behind which it goes on, limit. */
export const deliveredSql = `
  select m.id::text as id, m.payload::text as payload, m.max_attempts as most, m.priority, m.tags, m.order_key as "order"
    from waybill.outbox_messages m where ${delivered} order by m.id limit $8::int8`;

/** Values: name, queue, group, since, until or null, when it began, the id behind which it begins. */
export const countReplaySql = `
  select (select count(distinct coalesce(${ownKey}, m.id::text)) from waybill.outbox_messages m where ${dead})::text as retried,
         (select count(*) from waybill.outbox_messages m where ${later})::text as hastened,
         (select count(*) from waybill.outbox_messages m where ${delivered})::text as recorded,
         (select exists (select from waybill.outbox_messages m where ${delivered} and not m.payload ? 'body'))::text as closed`;

const valuesOf = ({ name, queue, group, since, until }: Replay, { began }: Mark): unknown[] => [
  name,
  queue,
  group,
  since.toISOString(),
  until?.toISOString() ?? null,
  began.toISOString(),
];

/** Without `from`: where it begins. @throws WaybillError `options_invalid` */
async function markOf(db: Executor, { from, since }: Replay): Promise<Mark> {
  if (from !== undefined) return readMark(from);
  const { rows } = await db.executeSql<{ ms: string }>(
    'select floor(extract(epoch from now()) * 1000)::text as ms',
  );
  return { began: new Date(Number(rows[0]?.ms ?? 0)), after: oldestIdOf({ since })! };
}

/** How many there are. @throws WaybillError `replay_sensitive` */
export async function countReplay(db: Executor, replay: Replay): Promise<Omit<ReplayStep, 'next'>> {
  const mark = await markOf(db, replay);
  const { rows } = await db.executeSql<Record<'retried' | 'hastened' | 'recorded' | 'closed', string>>(
    countReplaySql,
    [...valuesOf(replay, mark), mark.after],
  );
  const { retried, hastened, recorded, closed } = rows[0]!;
  if (replay.all && closed === 'true') throw sensitive();
  return {
    retried: Number(retried),
    hastened: Number(hastened),
    recorded: replay.all ? Number(recorded) : 0,
  };
}

/**
 * One step of a replay, in the transaction of `db` and `outbox`.
 * @throws WaybillError `options_invalid`, `replay_sensitive`
 */
export async function replayStep(
  db: Executor,
  outbox: Pick<OutboxPort, 'enqueue'>,
  replay: Replay,
): Promise<ReplayStep> {
  const mark = await markOf(db, replay);
  const values = valuesOf(replay, mark);
  const change = async (sql: string) => {
    const { rows } = await db.executeSql<Record<'n' | 'found', string>>(sql, [...values, most]);
    return { changed: Number(rows[0]?.n ?? 0), isFull: Number(rows[0]?.found ?? 0) === most };
  };
  const dead = await change(retryDeadSql);
  const later = await change(hastenSql);
  const counts = { retried: dead.changed, hastened: later.changed, recorded: 0 };
  if (dead.isFull || later.isFull) return { ...counts, next: markText(mark) };
  if (!replay.all) return { ...counts, next: null };
  await db.executeSql(beforeDelivered);
  const { rows } = await db.executeSql<Row>(deliveredSql, [...values, mark.after, most]);
  await db.executeSql(afterDelivered);
  const copies = rows.map((row) => copyOf(replay, row));
  if (copies.length > 0) await outbox.enqueue(copies);
  const next = rows.length === most ? markText({ ...mark, after: rows.at(-1)!.id }) : null;
  return { ...counts, recorded: copies.length, next };
}

type Row = {
  readonly id: string;
  readonly payload: string;
  readonly most: number | string;
  readonly priority: number | string;
  readonly tags: readonly string[] | null;
  readonly order: string | null;
};

const sensitive = (): WaybillError =>
  new WaybillError(
    'replay_sensitive',
    'the payloads of this endpoint are sensitive: only webhooks that are not delivered can be sent again',
  );

function copyOf({ name, queue, group, newIds }: Replay, row: Row): NewMessage {
  const payload = JSON.parse(row.payload) as WebhookPayload;
  if (isSealed(payload) || !('body' in payload)) throw sensitive();
  const { to, body, id = row.id } = payload;
  return {
    kind: 'job',
    name,
    queue,
    group,
    payload: { to, body, ...(!newIds && { id }), replayOf: row.id } satisfies WebhookPayload,
    maxAttempts: Number(row.most),
    priority: Number(row.priority),
    parentId: row.id,
    ...(row.tags && { tags: row.tags }),
    ...(row.order !== null && { orderKey: row.order, onDead: 'skip' as const }),
  };
}
