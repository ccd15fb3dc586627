// Whatever a delivery threw → a Failure. Handlers say with the two error classes here what a retry policy cannot know.

import { diagnose, messageOf, sqlState } from '../db/diagnosis.ts';
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

/** No retry can mend it: the message is dead at once. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError';
}

const longestDelay: Milliseconds = 365 * 86_400_000;

/** Other people's values, in an error. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value).slice(0, 80);
}

/** Try again, but not before the delay, whatever the retry policy says. */
export class RetryAfter extends Error {
  override readonly name = 'RetryAfter';
  readonly delay: Milliseconds;

  /** @param delay `'30s'`, `'5m'`, or milliseconds */
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

/** What a handler itself asked for holds, however long it is; what a provider asks for is believed for a day (message/backoff.ts). */
export function askedDelay(thrown: unknown): Milliseconds | undefined {
  return isOf(thrown, RetryAfter) && thrown.delay > maxRetryAfter ? thrown.delay : undefined;
}

/** Total: gives a Failure for any value, with texts that can be stored and hold no secret and no whole address. */
export function failureOf(thrown: unknown): Failure {
  try {
    const failure = judge(thrown);
    const stack = isOf(thrown, EmailError) ? undefined : stackOf(thrown); // what a server said has no place in the sources
    return { ...failure, message: cleanError(failure.message), ...(stack === undefined ? {} : { stack }) };
  } catch {
    // A getter that throws, errors that hold each other: the failure is still to be recorded, or the lease would have to run out.
    return { type: 'transient', message: 'threw something that cannot be shown' };
  }
}

/** Says nothing about the message: the same one may pass the next time. */
const passing = ['delivery_key_contended', 'work_not_awaited'];

/** So long the queue is left alone when the database has no connection left: the operator's trouble, and no message's. */
const connectionsDelay: Milliseconds = 5_000;

/** What pools of the application's own say when none of their connections became free: pg's, Knex's, Prisma's. */
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

/** A query builder wraps what its client throws in an error of its own, which shows the statement and not why it was refused. */
function refusalIn(thrown: unknown): WaybillError | undefined {
  let error = thrown;
  for (let depth = 0; depth < 5 && error instanceof Error; depth++) {
    if (isOf(error, WaybillError) && error.code === 'transaction_statement') return error;
    error = error.cause;
  }
  return undefined;
}

/** An error of a handler says so with a property of this name. */
function isAmbiguous(thrown: unknown): boolean {
  return thrown instanceof Error && 'ambiguous' in thrown && thrown.ambiguous === true;
}

export type Conflicts = {
  /** Milliseconds until it may run again; undefined: it has lost too often in this process, and from now on that counts as an attempt. */
  delayOf(id: string): Milliseconds | undefined;
};

export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

/** A handler that raises such an error by itself must come to an end. */
const most = 20;
/** Messages that are remembered. */
const kept = 10_000;
const longest: Milliseconds = 2_000;

export function createConflicts(random: Random): Conflicts {
  const lost = new Map<string, number>();
  return {
    delayOf(id) {
      const times = (lost.get(id) ?? 0) + 1;
      lost.delete(id);
      lost.set(id, times); // at the end: the first is the one that was heard of least lately
      const [oldest] = lost.keys();
      if (lost.size > kept && oldest !== undefined) lost.delete(oldest);
      if (times > most) return undefined;
      return random() * Math.min(longest, 20 * 2 ** times);
    },
  };
}
