// Views of messages: a list with filters and a cursor, and one message with its attempts and notes. They never contain the claim token.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, withMoments, type Moment } from '../db/moment.ts';
import { cleanError, keptOfStack } from '../redaction/redact.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { cursorAfter, placeOfCursor } from './cursor.ts';
import { WaybillError } from '../errors.ts';
import { defaultPageSize, type Filter } from './filter.ts';
import { boundOf, fromOf, lastRead, searchOf, type Bound } from './search.ts';
import type { Kind, Status } from '../message/message.ts';
import type { NoteView } from '../outbox/note.ts';
import type { DeadCause } from '../message/outcome.ts';
import { isSealed } from '../message/seal.ts';
import { waitOf, waitsFor, type Wait } from '../queues/waits.ts';

/** A message as the admin API and the command line show it. */
export type MessageView = {
  readonly id: string;
  readonly kind: Kind;
  readonly name: string;
  readonly queue: string;
  readonly status: Status;
  /** Claims since it was recorded or retried, without released ones. */
  readonly attemptCount: number;
  readonly maxAttempts: number;
  readonly lastError: string | null;
  readonly deliveryKey: string | null;
  /** How often a later recording of its key replaced its payload. */
  readonly replacements: number;
  readonly priority: number;
  readonly group: string | null;
  readonly orderKey: string | null;
  readonly tags: readonly string[];
  /** Of an email. */
  readonly subject: string | null;
  /** The first recipient of an email, masked: `a…@example.com`. */
  readonly recipient: string | null;
  readonly createdAt: Moment;
  readonly availableAt: Moment;
  readonly relayedAt: Moment | null;
  readonly claimedBy: string | null;
  readonly claimedUntil: Moment | null;
  /** When its attempt began, as far as it is known; null: it does not run. */
  readonly runningSince: Moment | null;
  readonly deliveredAt: Moment | null;
  readonly deadAt: Moment | null;
  /** Why it is dead; null when it is not dead, or when it was ended by hand. */
  readonly cause: DeadCause | null;
  readonly cancelledAt: Moment | null;
  readonly requestId: string | null;
  readonly traceId: string | null;
  readonly parentId: string | null;
  /** Why it waits, apart from its due time; null without such a reason, or when it does not wait. */
  readonly waitsFor: Wait | null;
};

export type AttemptView = {
  readonly attempt: number;
  readonly startedAt: Moment | null;
  readonly finishedAt: Moment | null;
  readonly worker: string | null;
  readonly outcome: string;
  readonly error: string | null;
  /** Stack of the error and its causes; null when there is none. */
  readonly stack: string | null;
};

const times = {
  createdAt: 'created_at',
  availableAt: 'available_at',
  relayedAt: 'relayed_at',
  claimedUntil: 'claimed_until',
  runningSince: 'claimed_at',
  deliveredAt: 'delivered_at',
  deadAt: 'dead_at',
  cancelledAt: 'cancelled_at',
} as const;
const timeNames = Object.keys(times) as (keyof typeof times)[];

/** When an attempt began. A prefetched message runs from when its worker has noted it. The note has the time of the latest message that began. */
export const runningSince = `case when status = 'sending' and prefetched then (
      select greatest(b.at, claimed_at) from waybill.outbox_begun b
       where b.worker = claimed_by and ('x' || right(id::text, 8))::bit(32)::int = any(b.ids) limit 1)
    when status = 'sending' then claimed_at end`;

/** A message that waits behind another of its order key has the due time infinity; its own is in order_due. */
const shown: Partial<Record<keyof typeof times, string>> = {
  availableAt: `case when available_at = 'infinity' then coalesce(order_due, available_at) else available_at end`,
  runningSince,
};

const longestSubject = 200;

/** From any form in which SQL may have written it. */
const firstRecipient = `left(coalesce(payload #>> '{to,0,address}', payload #>> '{to,0}', payload #>> '{to,address}', payload ->> 'to'), 400)`;

/** Maximum length read of an error; SQL may have written any length. */
const readOfError = 10_000;

export const viewColumns = `id, kind, name, queue, status, attempts as "attemptCount", max_attempts as "maxAttempts",
  left(last_error, ${readOfError}) as "lastError", coalesce(delivery_key, shared_key) as "deliveryKey",
  coalesce(replacements, 0) as replacements, priority, group_key as "group", order_key as "orderKey", claimed_by as "claimedBy", coalesce(tags, '{}') as tags,
  case when kind = 'email' then left(payload ->> 'subject', ${longestSubject}) end as subject, case when kind = 'email' then ${firstRecipient} end as recipient,
  ${timeNames.map((name) => `${momentText(shown[name] ?? times[name])} as "${name}"`).join(', ')},
  request_id as "requestId", split_part(traceparent, '-', 2) as "traceId", parent_id as "parentId", dead_cause as cause, ${waitsFor} as "waitsFor"`;

/** A row of `viewColumns`. SQL may have written the error. */
export type ViewRow = Told<Omit<MessageView, 'waitsFor'>> & {
  readonly waitsFor: Parameters<typeof waitOf>[0] | null;
};

export function viewOf<Row extends ViewRow>(row: Row): Omit<Row, keyof MessageView> & MessageView {
  const lastError = row.lastError === null ? null : cleanError(row.lastError);
  const shows = {
    lastError,
    waitsFor: row.waitsFor && waitOf(row.waitsFor),
    recipient: row.recipient === null ? null : maskedRecipient(row.recipient),
  };
  return { ...withMoments(row, timeNames), ...shows } as Omit<Row, keyof MessageView> & MessageView;
}

/** Null for a text that is no address. */
function maskedRecipient(text: string): string | null {
  const address = /[^\s<>"'(),;:]+@[^\s<>"'(),;:@]+(?=>?\s*$)/.exec(text)?.[0];
  return address === undefined ? null : maskAddresses(address).replace('***@', '…@');
}

export type Page = {
  readonly messages: MessageView[];
  readonly nextCursor: string | null;
  /** Of a search whose filters have no index. With `reached`, `nextCursor` goes on behind the last message that it looked at. */
  readonly bound?: Bound;
};

/**
 * Newest first, or oldest. It scans the primary key from the cursor, or looks up what few messages have (./search.ts).
 * @throws WaybillError `invalid_cursor`
 */
export async function listMessages(db: Executor, filter: Filter = {}): Promise<Page> {
  const { limit = defaultPageSize, cursor, ...which } = filter;
  const listed = { list: 'messages', filter: which };
  const direction = filter.order === 'oldest' ? 'asc' : 'desc';
  const id = cursor === undefined ? undefined : placeOfCursor(cursor, listed);
  const search = await searchOf(db, which, { id, direction });
  // One row beyond the limit shows whether there is a next page.
  const sql = `select ${viewColumns} from ${fromOf(search, direction)} order by id ${direction} limit $${search.values.length + 1}`;
  const { rows } = await db.executeSql<ViewRow>(sql, [...search.values, limit + 1]);
  const messages = rows.slice(0, limit).map(viewOf);
  const isMore = rows.length > limit;
  const isBounded = search.bounded.length > 0;
  const last = isMore ? messages.at(-1)!.id : isBounded ? await lastRead(db, search, direction) : null;
  const bound = boundOf(search, !isMore && last !== null);
  return {
    messages,
    nextCursor: last === null ? null : cursorAfter(last, listed),
    ...(bound && { bound }),
  };
}

export function isMessageId(text: string): boolean {
  return /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text);
}

export type WholeMessage = MessageView & {
  /** Its payload is sealed, and shown to nobody. */
  readonly sensitive: boolean;
  readonly payload: unknown;
  readonly attempts: AttemptView[];
  /** Notes of its delivery and of later reports; oldest first. */
  readonly notes: NoteView[];
};

/** @throws WaybillError `not_found` */
export async function viewMessage(db: Executor, id: string): Promise<MessageView> {
  const sql = `select ${viewColumns} from waybill.outbox_messages where id = $1`;
  const [row] = (await db.executeSql<ViewRow>(sql, [id])).rows;
  return viewOf(row ?? notFound(id));
}

/** The type as JSON returns it: times are text. */
type Told<T> = { readonly [K in keyof T]: Moment extends T[K] ? string : T[K] };

const attemptsOf = `select jsonb_agg(jsonb_build_object('attempt', a.attempt, 'startedAt', a.started_at, 'finishedAt', a.finished_at,
    'worker', a.worker, 'outcome', a.outcome, 'error', left(a.error, ${readOfError}),
    'stack', left(a.stack, ${readOfError * 4})) order by a.id)
  from waybill.outbox_attempts a where a.message_id = m.id`;

const notesOf = `select jsonb_agg(jsonb_build_object('at', n.at, 'type', n.type, 'recipient', n.recipient, 'detail', n.detail,
    'reference', n.reference) order by n.id)
  from waybill.outbox_notes n where n.message_id = m.id`;

/** @throws WaybillError `invalid_id`, `not_found` */
export async function showMessage(db: Executor, id: string): Promise<WholeMessage> {
  checkId(id);
  const sql = `select ${viewColumns}, payload, coalesce((${attemptsOf}), '[]') as attempts, coalesce((${notesOf}), '[]') as notes
    from waybill.outbox_messages m where id = $1`;
  type Row = ViewRow & { payload: unknown; attempts: Told<AttemptView>[]; notes: Told<NoteView>[] };
  const { rows } = await db.executeSql<Row>(sql, [id]);
  const row = viewOf(rows[0] ?? notFound(id));
  const kept = row.attempts.map((a) => ({
    ...a,
    startedAt: momentOf(a.startedAt),
    finishedAt: momentOf(a.finishedAt),
    error: a.error === null ? null : cleanError(a.error),
    stack: a.stack === null ? null : cleanError(a.stack, keptOfStack),
  }));
  const notes = row.notes.map((note) => ({ ...note, at: momentOf(note.at) }));
  const sensitive = isSealed(row.payload);
  const payload = sensitive ? null : row.payload;
  return { ...row, payload, sensitive, attempts: [...kept, ...delivering(row)], notes };
}

/** The successful attempt has no row; it is derived from the message. */
function delivering({ status, attemptCount, deliveredAt }: MessageView): AttemptView[] {
  if (status !== 'delivered') return [];
  const unknown = { startedAt: null, worker: null, error: null, stack: null };
  return [{ ...unknown, attempt: attemptCount, finishedAt: deliveredAt, outcome: status }];
}

/** @throws WaybillError `invalid_id` */
export function checkId(id: string): void {
  if (!isMessageId(id))
    throw new WaybillError(
      'invalid_id',
      `${JSON.stringify(String(id).slice(0, 80))} is no message id: an id is a UUID`,
    );
}

export function notFound(id: string): never {
  throw new WaybillError(
    'not_found',
    `there is no message ${id}; it may have been pruned after its retention`,
  );
}
