// Another due time for a message that waits.

import { timeText } from '../db/values.ts';
import type { Executor } from '../db/executor.ts';
import { parseDuration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import { guard, transitions, updateMessages } from '../message/transitions.ts';
import { announceSql } from '../outbox/notify.ts';
import type { Milliseconds } from '../ports.ts';
import { time } from './time.ts';
import { checkId, viewColumns, viewOf, type MessageView, type ViewRow } from './read.ts';
import { refuse } from './refusal.ts';

/** When a message is due: at a time, or after milliseconds by the database's clock. A time that has passed is now. */
export type Due = { readonly at: Date } | { readonly inMs: Milliseconds };

/** `waybill outbox verify` reports messages that are due later (src/operate/verify.ts). */
const farthestMs: Milliseconds = 10 * 365 * 86_400_000;

/**
 * Reads a due time.
 * @param given `availableAt`: ISO 8601 with its zone; `in`: `30m`, `2h`, `0s`. One of them, at most ten years ahead
 * @throws WaybillError `invalid_time`, `invalid_due`
 */
export function readDue(given: {
  readonly availableAt?: string | undefined;
  readonly in?: string | undefined;
}): Due {
  const at = time('availableAt', given.availableAt);
  if ((at === undefined) === (given.in === undefined))
    throw new WaybillError(
      'invalid_due',
      'say when: either a time (availableAt, --at) or a duration (in, --in)',
    );
  if (at !== undefined) {
    if (at.getTime() - Date.now() <= farthestMs) return { at };
    throw new WaybillError('invalid_due', `${at.toISOString()} is more than ten years ahead`);
  }
  const inMs = parseDuration(given.in!);
  if (inMs !== undefined && inMs <= farthestMs) return { inMs };
  throw new WaybillError(
    'invalid_due',
    `${JSON.stringify(given.in!.slice(0, 40))} is no duration: write 0s, 30m, 2h or 7d, at most 3650d`,
  );
}

/** The due time as an SQL expression over two values: a time or null, and milliseconds or null. */
export const dueOf = (at: string, ms: string): string =>
  `greatest(now(), coalesce(${at}::text::timestamptz, now() + (${ms}::float8 * interval '1 millisecond')))`;

export const dueValues = (due: Due): (string | number | null)[] =>
  'at' in due ? [timeText(due.at), null] : [null, due.inMs];

/** Values: id, time or null, milliseconds or null. */
export const rescheduleSql = `${updateMessages(transitions.reschedule.set({ due: dueOf('$2', '$3') }))}
  where id = $1 and ${guard('reschedule')} returning ${viewColumns}`;

/**
 * Gives a waiting message another due time. Behind another message of its order key it keeps its place, and is due at this time at the earliest.
 * @throws WaybillError `invalid_id`, `not_found`, `state_conflict`
 */
export async function rescheduleMessage(db: Executor, id: string, due: Due): Promise<MessageView> {
  checkId(id);
  const [row] = (await db.executeSql<ViewRow>(rescheduleSql, [id, ...dueValues(due)])).rows;
  if (!row) return refuse(db, 'reschedule', id);
  await db.executeSql(announceSql, [id]);
  return viewOf(row);
}
