// What a drain reports: counts for its caller, calls of the application's instrumentation, and log lines about what the application is told
// in no other way.

import { randomBytes, randomUUID } from 'node:crypto';
import { standardQueues } from '../define/registry.ts';
import type { Log } from '../metrics/log.ts';
import { tellNotDelivered } from '../metrics/not-delivered.ts';
import type { Expired } from '../outbox/port.ts';
import type { AttemptEvents } from '../worker/end.ts';
import { reportEnd, reportExpired, type DrainInstrumentation, type Reporting } from './instrumentation.ts';
import type { DrainOptions } from './options.ts';

/** How many messages a drain claimed, and how they ended. */
export type DrainReport = {
  readonly claimed: number;
  readonly delivered: number;
  /** Failed, and due again later. */
  readonly retried: number;
  /** Given up; a person must decide. Leases that expired in a last attempt are among them. */
  readonly dead: number;
  /** Released without using an attempt: aborted, or unknown here. */
  readonly released: number;
};

export type Tally = { -readonly [K in keyof DrainReport]: number };

export function sum(a: DrainReport, b: DrainReport): DrainReport {
  return {
    claimed: a.claimed + b.claimed,
    delivered: a.delivered + b.delivered,
    retried: a.retried + b.retried,
    dead: a.dead + b.dead,
    released: a.released + b.released,
  };
}

/** @param others the events of a process of the fleet, which log and count by themselves */
export function counting(
  tally: Tally,
  reporting: Reporting,
  log: Log,
  others?: AttemptEvents,
): AttemptEvents {
  const { instrumentation } = reporting;
  return {
    attempted(end) {
      tally[end.outcome] += 1;
      others?.attempted(end);
      if (!others && isWorthALine(end.outcome, instrumentation)) tellNotDelivered(log, end);
      void quietly(log, () => reportEnd(end, reporting));
    },
    rejected(claim) {
      if (others) others.rejected(claim);
      else log.warn({ message: claim.id, reason: claim.reason }, 'a stale claim was refused');
    },
  };
}

/** Counts and reports a message whose lease had expired. */
export function countExpired(expired: Expired, tally: Tally, reporting: Reporting, log: Log): void {
  if (expired.status !== 'dead') return;
  tally.dead += 1;
  const { id, kind, name, queue, attempts, error, cause } = expired;
  if (!reporting.instrumentation.deadLettered)
    log.error(
      { message: id, kind, name, queue, attempt: attempts, error, cause: cause ?? undefined },
      'dead: its worker died during the last attempt',
    );
  void quietly(log, () => reportExpired(expired, reporting));
}

/** A released message is no failure, and a function of the application that gets the outcome needs no line beside it. */
function isWorthALine(outcome: keyof Tally, { retried, deadLettered }: DrainInstrumentation): boolean {
  return (outcome === 'retried' && !retried) || (outcome === 'dead' && !deadLettered);
}

/** Says once a call that emails are due which this drain leaves, because they would otherwise wait without a word. */
export async function warnOfEmails({ outbox, email, signal }: DrainOptions, log: Log): Promise<void> {
  if (email || signal?.aborted || !outbox.hasDue) return;
  if (await outbox.hasDue(standardQueues.email))
    log.warn(
      { queue: standardQueues.email },
      'emails are due, and this drain has no provider for them: give drainOutbox an email option, or run an email worker',
    );
}

export function reportingOf({ instrumentation = {}, requestId, traceId }: DrainOptions): Reporting {
  return {
    instrumentation,
    requestId: requestId ?? randomUUID(),
    traceId: traceId ?? randomBytes(16).toString('hex'),
    today: Date.now,
  };
}

/** Calls the application's own code. An error there must not stop other deliveries. */
export async function quietly<T>(log: Log, tell: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await tell();
  } catch (error) {
    log.error({ err: error }, 'a function given to drainOutbox threw');
    return undefined;
  }
}
