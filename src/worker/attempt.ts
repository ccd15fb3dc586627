// One attempt as a pipeline: hold the lease → deliver → settlement → recorded → told. What a handler wrote in its transaction commits
// together with the settlement, or not at all: a worker that lost its lease leaves no trace in the database (invariant C).

import type { Executor } from '../db/executor.ts';
import type { Delivery, Deliver } from '../delivery/delivery.ts';
import type { Events } from '../metrics/events.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { Outcome, Settlement } from '../outbox/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import { settle } from '../outbox/transitions.ts';
import type { Clock, Milliseconds, Random } from '../ports.ts';
import type { Held, Leases } from './lease.ts';
import type { Settler } from './settler.ts';

/** Who hears how attempts ended. */
export type AttemptEvents = Pick<Events, 'attempted' | 'rejected'>;

export type AttemptPorts = {
  readonly leases: Leases;
  readonly settler: Settler;
  readonly deliver: Deliver;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly events: AttemptEvents;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when a settlement made new messages. */
  readonly nudge: () => void;
};

/** @param since the process's time before the claim was sent */
export async function attempt(
  message: ClaimedMessage,
  since: Milliseconds,
  ports: AttemptPorts,
): Promise<void> {
  const { leases, events, clock } = ports;
  const lease = leases.hold(message, since);
  try {
    if (!lease.isSafe())
      return events.rejected({
        id: message.id,
        queue: message.queue,
        reason: 'the lease ran out before the delivery began',
      });
    const started = clock.now();
    const delivery = await deliverOrGiveBack(message, lease, ports);
    const settlement = settle(message, delivery.outcome, delivery.backoff, ports.random, delivery.retryDelay);
    const settled = await recordEnd(settlement, delivery, ports);
    if (settled && settlement.to === 'delivered' && (settlement.then.length > 0 || delivery.recorded))
      ports.nudge();
    report(message, settlement, settled, clock.now() - started, events);
  } finally {
    leases.drop(message);
  }
}

async function deliverOrGiveBack(
  message: ClaimedMessage,
  lease: Held,
  ports: AttemptPorts,
): Promise<Delivery> {
  const { signal } = lease;
  const delivery = await ports.deliver(message, signal);
  const { outcome: end } = delivery;
  const ambiguous = end.type === 'failure' && end.failure.ambiguous === true; // a possible duplicate stays on record
  if (!signal.aborted || end.type === 'delivered' || ambiguous) return delivery;
  // It failed because it was told to stop: not the message's doing.
  const outcome: Outcome = { type: 'released', reason: null, delay: 0 };
  return { ...delivery, outcome };
}

async function recordEnd(
  settlement: Settlement,
  { work, once = false }: Delivery,
  ports: AttemptPorts,
): Promise<Settled | undefined> {
  if (!work?.begun()) return ports.settler.settle(settlement);
  if (settlement.to !== 'delivered') {
    await work.rollback().catch(() => undefined); // it never began, or its connection is gone: nothing is left of it either way
    return ports.settler.settle(settlement);
  }
  try {
    const [settled] = await ports.outboxOn(work.tx).settle([settlement]);
    await (settled ? work.commit() : work.rollback());
    return settled;
  } catch (error) {
    await work.rollback().catch(() => undefined); // the error that counts is the first one
    const { id, claimToken } = settlement;
    const text = `the handler's transaction did not commit: ${(error as Error).message}`;
    const end = once ? ({ to: 'dead' } as const) : ({ to: 'failed', delay: 1_000 } as const);
    return ports.settler.settle({ id, claimToken, error: text, ambiguous: true, ...end });
  }
}

const outcomes = { delivered: 'delivered', failed: 'retried', dead: 'dead', released: 'released' } as const;

function report(
  message: ClaimedMessage,
  settlement: Settlement,
  settled: Settled | undefined,
  ms: Milliseconds,
  events: AttemptEvents,
): void {
  const { id, queue } = message;
  if (!settled)
    return events.rejected({
      id,
      queue,
      reason: `the claim was not ours any more when it was to be ${settlement.to}`,
    });
  events.attempted({
    message,
    outcome: settled.status === 'dead' ? 'dead' : outcomes[settlement.to],
    seconds: ms / 1000,
    endToEndSeconds: settlement.to === 'delivered' ? settled.seconds : null,
    error: 'error' in settlement ? settlement.error : null,
    nextAttemptInMs: 'delay' in settlement && settled.status !== 'dead' ? settlement.delay : null,
  });
}
