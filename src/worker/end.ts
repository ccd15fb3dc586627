// The end of an attempt: how it is classified, recorded and reported. It is recorded in a batch, or in the handler's transaction together with what
// the handler wrote.

import type { Executor } from '../db/executor.ts';
import type { LazyTransaction } from '../db/lazy.ts';
import type { Conflicts } from '../delivery/failure.ts';
import { isConflict } from '../db/diagnosis.ts';
import type { Delivery } from '../delivery/delivery.ts';
import { defaultBackoff } from '../message/backoff.ts';
import { placeOf } from '../outbox/notify.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Failure, Outcome, Settlement, DeadCause } from '../message/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import type { Interrupt, Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';
import type { Settler } from './settler.ts';
import type { ReleaseCause } from '../metrics/attempt-end.ts';
import type { Events } from '../metrics/events.ts';

export type EndPorts = {
  readonly settler: Settler;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  /** Without it, an attempt that lost a conflict with another transaction counts. */
  readonly conflicts?: Conflicts | undefined;
};

/** The attempt does not count. */
export const released: Delivery = {
  outcome: { type: 'released', reason: null, delay: 0 },
  backoff: defaultBackoff,
};

/** @param signal if aborted, the delivery was ordered to end */
export function endOf(delivery: Delivery, signal: Interrupt): Delivery {
  const { outcome: end } = delivery;
  const ambiguous = end.type === 'failure' && end.failure.ambiguous === true; // a possible duplicate stays on record
  if (!signal.aborted || end.type === 'delivered' || ambiguous) return delivery;
  // It failed because it was ordered to end; the message is not at fault.
  return { ...delivery, outcome: released.outcome };
}

/** Whether the end may close its queue, or decides whether it reopens. */
export function concernsQueue({ probe }: ClaimedMessage, outcome: Outcome): boolean {
  return probe || (outcome.type === 'failure' && closes(outcome.failure));
}

export const closes = (failure: Failure): boolean =>
  failure.type === 'operator' || failure.holdsQueue === true;

/** The queues and priorities in which this settlement added messages (src/outbox/notify.ts). */
export function placesOf(settlement: Settlement, { recorded }: Delivery): readonly string[] {
  if (settlement.to !== 'delivered' || (settlement.then.length === 0 && !recorded?.size)) return none;
  return [...settlement.then.map(placeOf), ...(recorded ?? [])];
}

/** Releases a message that lost a conflict with another transaction, unless it must run only once. */
export function outcomeOf({ id }: ClaimedMessage, delivery: Delivery, conflicts?: Conflicts): Outcome {
  const { outcome, thrown, once } = delivery;
  if (outcome.type !== 'failure' || outcome.failure.type !== 'transient' || once || !isConflict(thrown))
    return outcome;
  const delay = conflicts?.delayOf(id);
  return delay === undefined ? outcome : { type: 'released', reason: outcome.failure.message, delay };
}

const none: readonly string[] = [];

/** Resolves with what was recorded, or with undefined if the token was stale. */
export function recordEnd(
  settlement: Settlement,
  { work, once = false }: Delivery,
  ports: EndPorts,
): Promise<Settled | undefined> {
  return work?.begun() ? recordWith(work, settlement, once, ports) : ports.settler.settle(settlement);
}

async function recordWith(
  work: LazyTransaction,
  settlement: Settlement,
  once: boolean,
  ports: EndPorts,
): Promise<Settled | undefined> {
  if (settlement.to !== 'delivered') {
    await work.rollback().catch(() => undefined); // it did not begin, or its connection is gone: nothing of it remains
    return ports.settler.settle(settlement);
  }
  try {
    const [settled] = await ports.outboxOn(work.tx).settle([settlement]);
    await (settled ? work.commit() : work.rollback());
    return settled;
  } catch (error) {
    await work.rollback().catch(() => undefined); // the first error is the one that counts
    const { id, claimToken } = settlement;
    const text = `the handler's transaction did not commit: ${reasonOf(error, { bare: true })}`;
    const delay = !once && isConflict(error) ? ports.conflicts?.delayOf(id) : undefined;
    if (delay !== undefined)
      return ports.settler.settle({ id, claimToken, error: text, to: 'released', delay });
    const end = once ? ({ to: 'dead' } as const) : ({ to: 'failed', delay: 1_000 } as const);
    return ports.settler.settle({ id, claimToken, error: text, ambiguous: true, ...end });
  }
}

/** Receives how attempts ended. */
export type AttemptEvents = Pick<Events, 'attempted' | 'rejected'>;

const outcomes = { delivered: 'delivered', failed: 'retried', dead: 'dead', released: 'released' } as const;

export type { ReleaseCause };

export type Ended = {
  readonly message: ClaimedMessage;
  readonly settlement: Settlement;
  /** Undefined: this worker did not hold the claim any more. */
  readonly settled: Settled | undefined;
  readonly ms: Milliseconds;
  /** Whether its delivery had begun. */
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

/** A row that is dead although a retry was asked for had no attempt left: the row decides. */
function causeOf(settlement: Settlement): DeadCause {
  return settlement.to === 'dead' ? (settlement.cause ?? 'permanent') : 'exhausted';
}
