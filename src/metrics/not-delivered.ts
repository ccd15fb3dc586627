// The log line of an attempt that did not deliver its message: the error, what follows, and the first place in the application's code.

import { traceIdOf } from '../trace/trace.ts';
import type { AttemptEnd } from './attempt-end.ts';
import type { Log } from './log.ts';

/** Writes nothing about a delivered message. */
export function tellNotDelivered(log: Log, end: AttemptEnd): void {
  const { message, outcome, seconds, error, stack, nextAttemptInMs, cause } = end;
  const { id, kind, name, queue, attempt, maxAttempts, requestId, traceparent } = message;
  const facts = {
    message: id,
    kind,
    name,
    queue,
    attempt,
    maxAttempts,
    requestId,
    traceId: traceIdOf(traceparent),
    seconds: Math.round(seconds * 10_000) / 10_000,
    error,
    stack,
    cause: cause ?? undefined,
    // An undefined fact is left out of the line.
    nextAttemptInMs: outcome === 'retried' || outcome === 'released' ? nextAttemptInMs : undefined,
  };
  switch (outcome) {
    case 'delivered':
      return undefined;
    case 'retried':
      return log.warn(facts, 'will be retried');
    case 'dead':
      return log.error(facts, 'dead: no retry will follow');
    case 'released':
      // Hundreds a minute where many workers share a queue, and none needs any action.
      if (end.releasedFor === 'no-slot') return log.debug(facts, 'released, no slot came free in time');
      return log.info(facts, 'released, the attempt does not count');
  }
}
