// What a bulk act does, and to which messages: the action, the filter, the states, and the due time of hold and reschedule.

import { parseDuration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import type { Status } from '../message/message.ts';
import { isAllowed, type Change } from '../message/transitions.ts';
import { type MessageFilter } from './filter.ts';
import { knownWord } from './texts.ts';
import { time } from './time.ts';

export const bulkActions = ['retry', 'cancel', 'hold', 'reschedule', 'erase'] as const;
export type BulkAction = (typeof bulkActions)[number];

type Kind = {
  /** `erase` changes no state, except that it cancels what waits. */
  readonly change: Change | 'erase';
  /** The states where the filter names none. */
  readonly usual: readonly Status[];
  readonly done: string;
  readonly needsDue: boolean;
};

const waiting = ['pending', 'failed'] as const;
const unsent = ['pending', 'failed', 'delivered', 'dead', 'cancelled'] as const;

/** Whether the action takes messages in this state. */
function takes(action: BulkAction, status: Status): boolean {
  const { change } = bulkKinds[action];
  return change === 'erase' ? status !== 'sending' : isAllowed(change, status);
}

/** `hold` changes only messages that are due earlier, `reschedule` all of them. */
export const bulkKinds: Readonly<Record<BulkAction, Kind>> = {
  retry: { change: 'retry', usual: ['dead'], done: 'retried', needsDue: false },
  cancel: { change: 'cancel', usual: waiting, done: 'cancelled', needsDue: false },
  hold: { change: 'reschedule', usual: waiting, done: 'held', needsDue: true },
  reschedule: { change: 'reschedule', usual: waiting, done: 'rescheduled', needsDue: true },
  erase: { change: 'erase', usual: unsent, done: 'erased', needsDue: false },
};

export type BulkTask = {
  readonly action: BulkAction;
  /** Without the states. */
  readonly filter: MessageFilter;
  readonly statuses: readonly Status[];
  /** The new due time of hold and reschedule. */
  readonly due: Date | null;
  /** Who does it and why, for the timeline of each message that is changed. Default: nothing is noted. */
  readonly note?: string;
};

/** @throws WaybillError `invalid_action` */
export function readAction(text: string): BulkAction {
  return knownWord('action', bulkActions, text);
}

/**
 * @param all every message in a state that the action takes: it must be explicit, so that a forgotten filter does not do it
 * @throws WaybillError `filter_required`, `invalid_status`
 */
export function taskOf(
  action: BulkAction,
  given: MessageFilter,
  { due = null, all = false }: { readonly due?: Date | null; readonly all?: boolean } = {},
): BulkTask {
  const says = (part: unknown): boolean => (Array.isArray(part) ? part.length > 0 : part !== undefined);
  if (!all && !Object.values(given).some(says))
    throw new WaybillError(
      'filter_required',
      'say which messages: a filter such as status, kind, name, queue, since or errorContains is needed',
    );
  const { usual } = bulkKinds[action];
  const { status, ...filter } = given;
  const impossible = status?.find((one) => !takes(action, one));
  if (impossible)
    throw new WaybillError('invalid_status', `${impossible} messages cannot be ${verb(action)}`);
  return { action, filter, statuses: status?.length ? status : usual, due };
}

function verb(action: BulkAction): string {
  const { change, done } = bulkKinds[action];
  if (change === 'erase') return `${done}: they end first`;
  return change === 'retry'
    ? `${done}, only dead and cancelled ones`
    : `${done}, only pending and failed ones`;
}

/** `waybill outbox verify` reports messages that are due later (src/operate/verify.ts). */
const farthestMs = 10 * 365 * 86_400_000;

/**
 * The due time of hold and reschedule.
 * @param text ISO 8601 with its zone, a duration from now such as `2h`, or `now`
 * @param now by the clock of the database
 * @throws WaybillError `invalid_due`, `invalid_time`
 */
export function readDue(action: BulkAction, text: string | undefined, now: Date): Date | null {
  const { needsDue } = bulkKinds[action];
  if (text === undefined && !needsDue) return null;
  if (text === undefined || !needsDue)
    throw new WaybillError(
      'invalid_due',
      needsDue
        ? `${action} needs due: a time such as 2026-01-31T08:00:00Z, or a duration such as 2h`
        : `${action} takes no due: only hold and reschedule do`,
    );
  const ms = text === 'now' ? 0 : parseDuration(text);
  const due = ms === undefined ? time('due', text)! : new Date(now.getTime() + ms);
  if (due.getTime() - now.getTime() > farthestMs)
    throw new WaybillError('invalid_due', `${text} is more than ten years ahead`);
  if (action === 'hold' && due <= now)
    throw new WaybillError(
      'invalid_due',
      `a hold until ${due.toISOString()} has ended already: give a time to come`,
    );
  return due < now ? now : due;
}
