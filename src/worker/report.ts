// How an attempt ended, as it is told: to the metrics and the log of a process, to the instrumentation of a drain.

import type { Events, ReleaseCause } from '../metrics/events.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { DeadCause, Settlement } from '../outbox/outcome.ts';
import type { Settled } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';

/** Who hears how attempts ended. */
export type AttemptEvents = Pick<Events, 'attempted' | 'rejected'>;

const outcomes = { delivered: 'delivered', failed: 'retried', dead: 'dead', released: 'released' } as const;

export type { ReleaseCause };

export type Ended = {
  readonly message: ClaimedMessage;
  readonly settlement: Settlement;
  /** Undefined: the claim was not ours any more. */
  readonly settled: Settled | undefined;
  readonly ms: Milliseconds;
  /** Its delivery had begun. */
  readonly begun: boolean;
  /** Why it was released, if it was. Default: `end`. */
  readonly cause?: ReleaseCause;
};

export function report(
  { message, settlement, settled, ms, begun, cause }: Ended,
  events: AttemptEvents,
): void {
  const { id, queue } = message;
  if (!settled)
    return events.rejected({
      id,
      queue,
      when: begun ? 'after' : 'before',
      reason: `the claim was not ours any more when it was to be ${settlement.to}`,
    });
  events.attempted({
    message,
    outcome: settled.status === 'dead' ? 'dead' : outcomes[settlement.to],
    seconds: ms / 1000,
    endToEndSeconds: settlement.to === 'delivered' ? settled.seconds : null,
    releasedFor: cause,
    error: 'error' in settlement ? settlement.error : null,
    stack: 'stack' in settlement ? settlement.stack : undefined,
    cause: settled.status === 'dead' ? causeOf(settlement) : null,
    nextAttemptInMs: 'delay' in settlement && settled.status !== 'dead' ? settlement.delay : null,
  });
}

/** What was to be tried again and is dead had no attempt left: the row decides. */
function causeOf(settlement: Settlement): DeadCause {
  return settlement.to === 'dead' ? (settlement.cause ?? 'permanent') : 'exhausted';
}
