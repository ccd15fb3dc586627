// What people are shown of messages: a list with filters and a cursor, one message with its attempts, figures. Never the claim token.

import type { Executor } from '../db/executor.ts';
import { WaybillError } from './errors.ts';
import { defaultPageSize, whereOf, type Filter } from './filter.ts';
import type { Kind, Status } from './message.ts';
import type { NoteView } from './note.ts';

/** A message as the admin API and the command line show it. */
export type MessageView = {
  readonly id: string;
  readonly kind: Kind;
  readonly name: string;
  readonly queue: string;
  readonly status: Status;
  /** Counts claims. */
  readonly attemptCount: number;
  readonly maxAttempts: number;
  readonly lastError: string | null;
  readonly deliveryKey: string | null;
  readonly priority: number;
  readonly createdAt: Date;
  readonly availableAt: Date;
  readonly relayedAt: Date | null;
  readonly claimedBy: string | null;
  readonly claimedUntil: Date | null;
  readonly deliveredAt: Date | null;
  readonly deadAt: Date | null;
  readonly cancelledAt: Date | null;
  readonly requestId: string | null;
  readonly traceId: string | null;
  readonly parentId: string | null;
};

export type AttemptView = {
  readonly attempt: number;
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly worker: string | null;
  readonly outcome: string;
  readonly error: string | null;
  /** Where it was thrown, with its causes; null when there is no stack. */
  readonly stack: string | null;
};

export const viewColumns = `id, kind, name, queue, status, attempts as "attemptCount", max_attempts as "maxAttempts",
  last_error as "lastError", delivery_key as "deliveryKey", priority, created_at as "createdAt", available_at as "availableAt",
  relayed_at as "relayedAt", claimed_by as "claimedBy", claimed_until as "claimedUntil", delivered_at as "deliveredAt",
  dead_at as "deadAt", cancelled_at as "cancelledAt", request_id as "requestId", split_part(traceparent, '-', 2) as "traceId",
  parent_id as "parentId"`;

export type Page = { readonly messages: MessageView[]; readonly nextCursor: string | null };

/**
 * Newest first. Walks the primary key downwards from the cursor, so a page costs the same wherever it is.
 * @throws WaybillError `invalid_cursor`
 */
export async function listMessages(db: Executor, filter: Filter = {}): Promise<Page> {
  const { limit = defaultPageSize, cursor } = filter;
  const { conditions, values } = whereOf(filter);
  if (cursor !== undefined) conditions.push(`id < $${values.push(idOfCursor(cursor))}::uuid`);
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';
  // One more than asked for tells whether there is a next page.
  const sql = `select ${viewColumns} from waybill.outbox_messages ${where} order by id desc limit $${values.push(limit + 1)}`;
  const { rows } = await db.executeSql<MessageView>(sql, values);
  const messages = rows.slice(0, limit);
  const last = messages.at(-1);
  return { messages, nextCursor: rows.length > limit && last ? cursorAfter(last.id) : null };
}

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export function isMessageId(text: string): boolean {
  return uuid.test(text);
}

function cursorAfter(id: string): string {
  return Buffer.from(`before:${id}`).toString('base64url');
}

function idOfCursor(cursor: string): string {
  const [, id = ''] = /^before:(.*)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (isMessageId(id) && cursorAfter(id) === cursor) return id;
  throw new WaybillError(
    'invalid_cursor',
    'the cursor is not one that this list gave out: take nextCursor as it is, or leave it away',
  );
}

export type WholeMessage = MessageView & {
  readonly payload: unknown;
  readonly attempts: AttemptView[];
  /** What its delivery, and reports of it later, noted; oldest first. */
  readonly notes: NoteView[];
};

/** What JSON makes of it. */
type Told<T> = { readonly [K in keyof T]: T[K] extends Date | null ? string : T[K] };

const attemptsOf = `select jsonb_agg(jsonb_build_object('attempt', a.attempt, 'startedAt', a.started_at, 'finishedAt', a.finished_at,
    'worker', a.worker, 'outcome', a.outcome, 'error', a.error, 'stack', a.stack) order by a.id)
  from waybill.outbox_attempts a where a.message_id = m.id`;

const notesOf = `select jsonb_agg(jsonb_build_object('at', n.at, 'type', n.type, 'recipient', n.recipient, 'detail', n.detail,
    'reference', n.reference) order by n.id)
  from waybill.outbox_notes n where n.message_id = m.id`;

/** @throws WaybillError `invalid_id`, `not_found` */
export async function showMessage(db: Executor, id: string): Promise<WholeMessage> {
  checkId(id);
  const sql = `select ${viewColumns}, payload, coalesce((${attemptsOf}), '[]') as attempts, coalesce((${notesOf}), '[]') as notes
    from waybill.outbox_messages m where id = $1`;
  type Row = MessageView & { payload: unknown; attempts: Told<AttemptView>[]; notes: Told<NoteView>[] };
  const { rows } = await db.executeSql<Row>(sql, [id]);
  const row = rows[0] ?? notFound(id);
  const kept = row.attempts.map((a) => ({
    ...a,
    startedAt: new Date(a.startedAt),
    finishedAt: new Date(a.finishedAt),
  }));
  const notes = row.notes.map((note) => ({ ...note, at: new Date(note.at) }));
  return { ...row, attempts: [...kept, ...delivering(row)], notes };
}

/** The attempt that delivered leaves no row of its own. */
function delivering({ status, attemptCount, deliveredAt }: MessageView): AttemptView[] {
  if (status !== 'delivered') return [];
  return [
    {
      attempt: attemptCount,
      startedAt: null,
      finishedAt: deliveredAt,
      worker: null,
      outcome: 'delivered',
      error: null,
      stack: null,
    },
  ];
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
