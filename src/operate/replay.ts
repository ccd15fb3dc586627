// Sends webhooks of an endpoint again: dead ones are retried, those that wait for a later attempt are due now, and delivered ones are recorded again
// with the webhook id that they had, by which a receiver knows them.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from '../errors.ts';
import type { NewMessage } from '../message/message.ts';
import { isSealed } from '../message/seal.ts';
import { guard, transitions, updateMessages } from '../message/transitions.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { waits } from '../outbox/waiting.ts';
import { oldestIdOf } from './filter.ts';
import { isErased, keyIsFree, keyStandsAlone } from './free-key.ts';

export type ReplayOf = {
  /** Name and queue of the endpoint's messages, and the endpoint as their group. */
  readonly name: string;
  readonly queue: string;
  readonly group: string;
};

export type Replay = ReplayOf & {
  readonly since: Date;
  /** Default: those recorded until now. */
  readonly until?: Date | undefined;
  readonly all: boolean;
  readonly newIds: boolean;
};

export type ReplayStep = {
  readonly retried: number;
  readonly hastened: number;
  readonly recorded: number;
  /** Where the next step begins; null: that was all. */
  readonly next: Date | null;
};

/** Of each kind, in one step: their payloads are in memory at once. */
const most = 500;

const own = (m: string): string =>
  `${m}name = $1 and ${m}queue = $2 and ${m}group_key = $3 and ${m}created_at >= $4::text::timestamptz and ${m}created_at <= coalesce($5::text::timestamptz, now())`;

const dead = `m.dead_at is not null and m.dead_at >= $4::text::timestamptz and ${own('m.')}`;
const later = `${waits('m.')} and m.status = 'failed' and m.available_at > now() and ${own('m.')}`;
const delivered = `m.delivered_at is not null and m.id >= $6::uuid and ${own('m.')}`;

/** Values: name, queue, group, since, until or null, limit. Of messages with the same delivery key only the newest is retried. */
export const retryDeadSql = `
  with got as (
    select m.* from waybill.outbox_messages m where ${dead} order by m.dead_at limit $6::int8 for update skip locked),
  fit as (
    select id from (
      select m.*, row_number() over (partition by kind, name, coalesce(delivery_key, shared_key, id::text) order by id desc) as place
        from got m where not ${isErased}) m
     where place = 1 and ${keyIsFree} and ${keyStandsAlone}),
  changed as (
    ${updateMessages(transitions.retry.set())} where m.id = any(array(select id from fit)) and ${guard('retry', 'm.status')} returning m.id)
  select count(*)::text as n from changed`;

/** The same values. */
export const hastenSql = `
  with got as (
    select m.id from waybill.outbox_messages m where ${later} order by m.available_at limit $6::int8 for update skip locked),
  changed as (
    ${updateMessages(transitions.reschedule.set({ due: 'now()' }))} where m.id = any(array(select id from got)) and ${guard('reschedule', 'm.status')} returning m.id)
  select count(*)::text as n from changed`;

/** With stale statistics the whole table would be read. The transaction may be the application's, so its setting comes back afterwards. */
export const beforeDelivered = 'set local enable_seqscan = off';
const afterDelivered = 'set local enable_seqscan = default';

/** Values: name, queue, group, since, until or null, oldest id, limit. */
export const deliveredSql = `
  select m.id::text as id, m.payload::text as payload, m.max_attempts as most, m.priority, m.tags, m.order_key as "order", m.created_at as at
    from waybill.outbox_messages m where ${delivered} and not ${isErased} order by m.id limit $7::int8`;

/** Values: name, queue, group, since, until or null, oldest id. */
export const countReplaySql = `
  select (select count(*) from waybill.outbox_messages m where ${dead})::text as retried,
         (select count(*) from waybill.outbox_messages m where ${later})::text as hastened,
         (select count(*) from waybill.outbox_messages m where ${delivered})::text as recorded`;

const valuesOf = ({ name, queue, group, since, until }: Replay): unknown[] => [
  name,
  queue,
  group,
  since.toISOString(),
  until?.toISOString() ?? null,
];

/** How many there are. */
export async function countReplay(db: Executor, replay: Replay): Promise<Omit<ReplayStep, 'next'>> {
  const { rows } = await db.executeSql<Record<'retried' | 'hastened' | 'recorded', string>>(countReplaySql, [
    ...valuesOf(replay),
    oldestIdOf({ since: replay.since }),
  ]);
  const { retried, hastened, recorded } = rows[0]!;
  return {
    retried: Number(retried),
    hastened: Number(hastened),
    recorded: replay.all ? Number(recorded) : 0,
  };
}

/**
 * One step of a replay, in the transaction of `db` and `outbox`.
 * @throws WaybillError `replay_sensitive`
 */
export async function replayStep(
  db: Executor,
  outbox: Pick<OutboxPort, 'enqueue'>,
  replay: Replay,
): Promise<ReplayStep> {
  const values = valuesOf(replay);
  const changed = async (sql: string): Promise<number> =>
    Number((await db.executeSql<{ n: string }>(sql, [...values, most])).rows[0]?.n ?? 0);
  const retried = await changed(retryDeadSql);
  const hastened = await changed(hastenSql);
  if (retried === most || hastened === most) return { retried, hastened, recorded: 0, next: replay.since };
  if (!replay.all) return { retried, hastened, recorded: 0, next: null };
  await db.executeSql(beforeDelivered);
  const { rows } = await db.executeSql<Row>(deliveredSql, [
    ...values,
    oldestIdOf({ since: replay.since }),
    most,
  ]);
  await db.executeSql(afterDelivered);
  const copies = rows.map((row) => copyOf(replay, row));
  if (copies.length > 0) await outbox.enqueue(copies);
  const last = rows.length === most ? rows.at(-1)!.at : null;
  return { retried, hastened, recorded: copies.length, next: last === null ? null : new Date(last) };
}

type Row = {
  readonly id: string;
  readonly payload: string;
  readonly most: number | string;
  readonly priority: number | string;
  readonly tags: readonly string[] | null;
  readonly order: string | null;
  readonly at: Date | string;
};

function copyOf({ name, queue, group, newIds }: Replay, row: Row): NewMessage {
  const payload = JSON.parse(row.payload) as {
    readonly to: string | null;
    readonly body: unknown;
    readonly id?: string;
  };
  if (isSealed(payload) || !('body' in payload))
    throw new WaybillError(
      'replay_sensitive',
      'the payloads of this endpoint are sensitive: only webhooks that are not delivered can be sent again',
    );
  const { to, body, id = row.id } = payload;
  return {
    kind: 'job',
    name,
    queue,
    group,
    payload: newIds ? { to, body } : { to, body, id },
    maxAttempts: Number(row.most),
    priority: Number(row.priority),
    parentId: row.id,
    ...(row.tags && { tags: row.tags }),
    ...(row.order !== null && { orderKey: row.order, onDead: 'skip' as const }),
  };
}
