// Turns whatever a delivery throws into a Failure. With the two error classes here, handlers overrule the retry policy.

import { diagnose, messageOf } from '../db/diagnosis.ts';
import { parseDuration } from '../duration.ts';
import { isActionError, mayPass } from '../define/action-error.ts';
import { decideEmail } from '../email/decide.ts';
import { EmailError } from '../email/error.ts';
import { isOf, WaybillError } from '../errors.ts';
import { maxRetryAfter } from '../message/backoff.ts';
import type { Failure } from '../message/outcome.ts';
import type { Milliseconds, Random } from '../ports.ts';
import { issuesOf, reasonOf } from '../redaction/reason.ts';
import { cleanError } from '../redaction/redact.ts';
import { stackOf } from '../redaction/stack.ts';

/** No retry can succeed: the message is dead at once. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError';
}

const longestDelay: Milliseconds = 365 * 86_400_000;

/** A foreign value, shortened for an error text. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value).slice(0, 80);
}

/** Try again, but not before the delay, whatever the retry policy says. */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter';
  readonly delay: Milliseconds;

  /**
   * Throw it from a handler.
   * @param delay `'30s'`, `'5m'`, or milliseconds; at most a year
   * @throws WaybillError `invalid_duration`
   */
  constructor(
    delay: string | Milliseconds,
    message = 'asked to be tried again later',
    options?: ErrorOptions,
  ) {
    super(message, options);
    const ms =
      typeof delay === 'number' ? delay : typeof delay === 'string' ? parseDuration(delay) : undefined;
    if (ms === undefined || !(ms >= 0 && ms <= longestDelay))
      throw new WaybillError(
        'invalid_duration',
        `RetryAfter needs milliseconds or a duration such as '30s' or '5m', at most a year, not ${shown(delay)}`,
      );
    this.delay = ms;
  }
}

/** A delay that a handler asked for holds, however long it is. One that a provider asked for is limited to a day (message/backoff.ts). */
export function askedDelay(thrown: unknown): Milliseconds | undefined {
  return isOf(thrown, RetryAfter) && thrown.delay > maxRetryAfter ? thrown.delay : undefined;
}

/** Total: returns a Failure for any value. Its texts can be stored, and hold no secret and no whole address. */
export function failureOf(thrown: unknown): Failure {
  try {
    const failure = judge(thrown);
    const stack = isOf(thrown, EmailError) ? undefined : stackOf(thrown); // a stack says nothing about a provider's answer
    return { ...failure, message: cleanError(failure.message), ...(stack === undefined ? {} : { stack }) };
  } catch {
    // A getter threw, or errors refer to each other. The failure must still be recorded, or the lease would have to run out.
    return { type: 'transient', message: 'threw something that cannot be shown' };
  }
}

/** What this process lacks for an email without a sender. Other workers may have it, and emails with a sender pass. */
const ofTheDefaultSender = ['from_required', 'sender_misconfigured'];

/** The failure of a handover to this provider. An idempotent one knows the key again, so a lost answer is not ambiguous. */
export function handoverFailure(thrown: unknown, { idempotent }: { readonly idempotent: boolean }): Failure {
  const { ambiguous = false, ...failure } = failureOf(thrown);
  if (isOf(thrown, WaybillError) && ofTheDefaultSender.includes(thrown.code))
    return { ...failure, type: 'operator', maybeOwn: true };
  return ambiguous && !idempotent ? { ...failure, ambiguous } : failure;
}

/** Errors that say nothing about the message: its next attempt may succeed. */
const passing = ['delivery_key_contended', 'work_not_awaited'];

/** How long the queue is held when the database has no connection left. An operator must mend that; the message is not at fault. */
const connectionsDelay: Milliseconds = 5_000;

/** What the application's own pools report when no connection became free: pg's, Knex's, Prisma's. */
const poolIsFull =
  /timeout exceeded when trying to connect|Timeout acquiring a connection|Timed out fetching a new connection from the connection pool/i;

function outOfConnections(thrown: unknown): string | undefined {
  const trouble = diagnose(thrown);
  if (trouble?.condition === 'connections_exhausted') return trouble.message;
  const words = messageOf(thrown);
  return thrown instanceof Error && poolIsFull.test(words)
    ? `no connection became free: ${words}`
    : undefined;
}

function judge(thrown: unknown): Failure {
  const refused = refusalIn(thrown);
  if (refused && refused !== thrown) return judge(refused);
  const full = outOfConnections(thrown);
  if (full !== undefined)
    return { type: 'transient', message: full, retryAfter: connectionsDelay, holdsQueue: true };
  if (isOf(thrown, EmailError)) return decideEmail(thrown);
  if (isOf(thrown, RetryAfter))
    return { type: 'transient', message: reasonOf(thrown, { bare: true }), retryAfter: thrown.delay };
  if (isActionError(thrown)) {
    const message = `${thrown.code}: ${reasonOf(thrown, { bare: true })}`;
    return { type: mayPass(thrown) ? 'transient' : 'permanent', message };
  }
  if (isOf(thrown, PermanentError)) return { type: 'permanent', message: reasonOf(thrown, { bare: true }) };
  const issues = issuesOf(thrown);
  if (issues !== undefined) return { type: 'permanent', message: `not valid: ${issues}` };
  if (isOf(thrown, WaybillError))
    return {
      type: passing.includes(thrown.code) ? 'transient' : 'permanent',
      message: `${thrown.code}: ${reasonOf(thrown, { bare: true })}`,
    };
  return {
    type: 'transient',
    message: reasonOf(thrown),
    ...(isAmbiguous(thrown) ? { ambiguous: true } : {}),
  };
}

/** Finds our error inside a query builder's error, which shows the statement and not why it was refused. */
function refusalIn(thrown: unknown): WaybillError | undefined {
  let error = thrown;
  for (let depth = 0; depth < 5 && error instanceof Error; depth++) {
    if (isOf(error, WaybillError) && error.code === 'transaction_statement') return error;
    error = error.cause;
  }
  return undefined;
}

/** A handler's error is ambiguous if it has a property of this name. */
function isAmbiguous(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as Error & { readonly ambiguous?: unknown }).ambiguous === true;
}

export type Conflicts = {
  /** Milliseconds until the message may run again. Undefined: it lost too often in this process, and from now on that counts as an attempt. */
  delayOf(id: string): Milliseconds | undefined;
};

/** A handler that always raises such an error must come to an end. */
const most = 20;
/** Number of messages that are remembered. */
const kept = 10_000;
const longest: Milliseconds = 2_000;

export function createConflicts(random: Random): Conflicts {
  const lost = new Map<string, number>();
  return {
    delayOf(id) {
      const times = (lost.get(id) ?? 0) + 1;
      lost.delete(id);
      lost.set(id, times); // moved to the end: the first is the one whose last conflict is the oldest
      const [oldest] = lost.keys();
      if (lost.size > kept) lost.delete(oldest!);
      if (times > most) return undefined;
      return random() * Math.min(longest, 20 * 2 ** times);
    },
  };
}
