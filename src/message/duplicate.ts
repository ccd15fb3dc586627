// What happens when a message is recorded whose delivery key another message has: the options, and the checks of them (docs/debounce.md).

import { parseDuration, type Duration } from '../duration.ts';
import { WaybillError } from '../errors.ts';
import type { Milliseconds } from '../ports.ts';

/** What happens when the delivery key is taken. */
export type DuplicateOptions = {
  /**
   * When another message has the same kind, name and key. `keep` (the default) records nothing. `replace`: a message that was never claimed
   * gets this payload; otherwise a new message is recorded.
   */
  readonly onDuplicate?: 'keep' | 'replace' | undefined;
  /** Replaces the message that waits, and makes it due this long after the last recording. 1 ms … 30 d. */
  readonly debounce?: Duration | undefined;
  /** With `debounce`: due at the latest this long after the first recording. Default: ten times `debounce`. At most 365 d. */
  readonly maxWait?: Duration | undefined;
};

export const duplicateOptions = ['onDuplicate', 'debounce', 'maxWait'] as const;

/** `replace`, checked. `debounce`: null when the due time is not moved. */
export type Replace = {
  readonly debounce: { readonly ms: Milliseconds; readonly maxWaitMs: Milliseconds } | null;
};

type Keyed = DuplicateOptions & {
  readonly deliveryKey?: string | undefined;
  readonly availableAt?: Date | undefined;
};

const day: Milliseconds = 86_400_000;

/**
 * For a message with at least one of the options. Undefined for `keep`.
 * @throws WaybillError `on_duplicate_invalid`, `debounce_needs_key`, `debounce_invalid`, `max_wait_invalid`
 */
export function checkDuplicate(message: Keyed): Replace | undefined {
  const { onDuplicate, debounce, maxWait, deliveryKey, availableAt } = message;
  if (onDuplicate !== undefined && onDuplicate !== 'keep' && onDuplicate !== 'replace')
    refuse('on_duplicate_invalid', "onDuplicate must be 'keep' or 'replace'");
  if (deliveryKey === undefined)
    refuse('debounce_needs_key', 'onDuplicate, debounce and maxWait need a deliveryKey');
  if (debounce === undefined) {
    if (maxWait !== undefined) refuse('max_wait_invalid', 'maxWait limits debounce, which is missing');
    return onDuplicate === 'replace' ? { debounce: null } : undefined;
  }
  const ms = millisecondsOf(debounce);
  if (ms === undefined || ms > 30 * day)
    refuse('debounce_invalid', `debounce must be a duration from 1ms to 30d, such as '30s' or '5m'`);
  if (availableAt !== undefined)
    refuse('debounce_invalid', 'debounce decides when the message is due: leave out availableAt');
  if (onDuplicate === 'keep')
    refuse(
      'debounce_invalid',
      "debounce replaces the message that waits: leave out onDuplicate, or use 'replace'",
    );
  const maxWaitMs = maxWait === undefined ? 10 * ms : millisecondsOf(maxWait);
  if (maxWaitMs === undefined || maxWaitMs < ms || maxWaitMs > 365 * day)
    refuse('max_wait_invalid', 'maxWait must be a duration from debounce to 365d');
  return { debounce: { ms, maxWaitMs } };
}

/** For messages that a settlement adds. */
export function withoutReplace<M extends { readonly replace?: Replace | undefined }>(message: M): M {
  if (message.replace)
    refuse('options_invalid', "messages that a delivery adds take no onDuplicate: 'replace' and no debounce");
  return message;
}

function millisecondsOf(given: unknown): Milliseconds | undefined {
  const ms = typeof given === 'string' ? parseDuration(given) : given;
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 1 ? ms : undefined;
}

function refuse(code: string, message: string): never {
  throw new WaybillError(code, message);
}

/** When a message that replaces another is due, in milliseconds since 1970. waybill.outbox_replace does the same. */
export function dueOf(
  { debounce }: Replace,
  first: { readonly availableAt: number; readonly createdAt: number },
  availableAt: number | undefined,
  now: number,
): number {
  if (debounce === null) return availableAt ?? first.availableAt;
  const latest = first.createdAt + debounce.maxWaitMs;
  // After maxWait, a message that is due keeps its time, and so its place in the queue.
  if (latest <= now) return Math.min(first.availableAt, now);
  return Math.min(now + debounce.ms, latest);
}
