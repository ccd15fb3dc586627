// Order keys that a dead message blocks (invariant K): their list, and how a person lets one go on without the message.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, type Moment } from '../db/moment.ts';
import { WaybillError } from '../errors.ts';
import type { Kind } from '../message/message.ts';
import { updateMessages } from '../message/transitions.ts';
import { outboxChannel } from '../outbox/notify.ts';
import { blocksKey } from '../outbox/order.ts';
import { half } from '../outbox/waiting.ts';
import { checkKnown } from '../queues/queues.ts';
import { cleanError } from '../redaction/redact.ts';
import { cursorAfter, placeOfCursor } from './cursor.ts';
import { defaultPageSize, pageSize } from './filter.ts';
import { single, type Texts } from './texts.ts';

export type BlockedKey = {
  readonly orderKey: string;
  /** The dead message that blocks it. */
  readonly messageId: string;
  readonly kind: Kind;
  readonly name: string;
  readonly deadAt: Moment;
  readonly error: string | null;
  /** How many messages wait behind it; counted up to 10,000. */
  readonly waiting: number;
};

const mostCounted = 10_000;

/** Values: queue, limit, and after which time and message. Oldest first. */
export const blockedKeysSql = `
  select b.dead_at::text as died, b.order_key as "orderKey", b.id::text as "messageId", b.kind, b.name, ${momentText('b.dead_at')} as "deadAt",
         left(b.last_error, 10000) as error, behind.n as waiting
    from (select * from waybill.outbox_messages where ${blocksKey()} and ${half('queue = $1')}
            and ($3::text is null or dead_at >= $3::timestamptz and (dead_at, id) > ($3::timestamptz, $4::uuid)) order by dead_at, id limit $2) b
    cross join lateral (
      select count(*)::int as n from (
        select from waybill.outbox_messages w
         where w.queue = b.queue and w.order_key = b.order_key and w.order_due is not null and w.available_at = 'infinity'
         limit ${mostCounted}) w) behind
   order by b.dead_at, b.id`;

/** `died`: its time as Postgres writes it. */
type Row = Omit<BlockedKey, 'deadAt'> & { readonly deadAt: string; readonly died: string };

export type BlockedKeys = { readonly blocked: readonly BlockedKey[]; readonly nextCursor: string | null };

/**
 * The keys of a queue that a dead message blocks, the oldest first.
 * @throws WaybillError `unknown_queue`, `invalid_limit`, `invalid_cursor`
 */
export async function listBlockedKeys(
  db: Executor,
  queue: string,
  { limit: given, cursor: from }: { readonly limit?: Texts; readonly cursor?: Texts } = {},
): Promise<BlockedKeys> {
  const limit = pageSize(given) ?? defaultPageSize;
  const cursor = single('cursor', from);
  const listed = { list: 'blocked', filter: { queue } };
  const { died = null, id = null } = cursor === undefined ? {} : placeOf(placeOfCursor(cursor, listed));
  const { rows } = await db.executeSql<Row>(blockedKeysSql, [queue, limit + 1, died, id]);
  if (rows.length === 0) await checkKnown(db, queue);
  const page = rows.slice(0, limit);
  const last = rows.length > limit ? page.at(-1) : undefined;
  return {
    blocked: page.map(keyOf),
    nextCursor: last ? cursorAfter(`${last.died} ${last.messageId}`, listed) : null,
  };
}

function keyOf(found: Row): BlockedKey {
  const { died: _, ...row } = found;
  const error = row.error === null ? null : cleanError(row.error);
  return { ...row, deadAt: momentOf(row.deadAt), error };
}

/** A place is the time of a death and the message. @throws WaybillError `invalid_cursor` */
function placeOf(text: string): { readonly died: string; readonly id: string } {
  const [, died, id] = /^([\d-]{10} [\d:.+-]{8,30}) ([\da-f-]{36})$/.exec(text) ?? [];
  if (died !== undefined && id !== undefined) return { died, id };
  throw new WaybillError('invalid_cursor', 'the cursor was edited: take nextCursor as it is');
}

/** Values: queue, order key, detail of the note. Its commit advances the key (sql/0010_order.sql). */
export const unblockSql = `
  with blocking as (
    select id from waybill.outbox_messages where queue = $1 and order_key = $2 and ${blocksKey()} for update),
  unblocked as (
    ${updateMessages({ order_skips: 'true', order_due: 'null' })} where m.id = any(array(select id from blocking)) returning m.id),
  noted as (
    insert into waybill.outbox_notes (message_id, type, detail) select id, 'unblocked', $3 from unblocked)
  select id::text as id, pg_notify('${outboxChannel}', $1) from unblocked`;

export type Unblocked = {
  readonly queue: string;
  readonly orderKey: string;
  /** The dead messages that blocked the key. They stay dead. */
  readonly messageIds: readonly string[];
};

/**
 * Lets the messages behind a dead one go on without it. Who did it and why is noted in the timeline of the dead message.
 * @throws WaybillError `unknown_queue`, `order_key_not_blocked`
 */
export async function unblockKey(
  db: Executor,
  { queue, orderKey }: { readonly queue: string; readonly orderKey: string },
  { by, reason }: { readonly by: string; readonly reason: string | null },
): Promise<Unblocked> {
  const detail = cleanError(reason === null ? `by ${by}` : `by ${by}: ${reason}`);
  const { rows } = await db.executeSql<{ id: string }>(unblockSql, [queue, orderKey, detail]);
  if (rows.length > 0) return { queue, orderKey, messageIds: rows.map(({ id }) => id) };
  await checkKnown(db, queue);
  throw new WaybillError(
    'order_key_not_blocked',
    `no dead message of the queue ${queue} blocks the order key ${JSON.stringify(orderKey.slice(0, 200))}`,
  );
}
