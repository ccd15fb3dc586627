// One attempt as a pipeline: hold the lease → deliver → settlement → recorded → told. What a handler wrote in its transaction commits
// together with the settlement, or not at all: a worker that lost its lease leaves no trace in the database (invariant C).

import type { Executor } from '../db/executor.ts';
import type { LazyTransaction } from '../db/lazy.ts';
import type { Delivery, Deliver } from '../delivery/delivery.ts';
import { defaultBackoff } from '../outbox/backoff.ts';
import type { ClaimedMessage, NewMessage } from '../outbox/message.ts';
import type { Nudge } from '../outbox/nudge.ts';
import type { Settlement } from '../outbox/outcome.ts';
import type { OutboxPort, Settled } from '../outbox/port.ts';
import { settle } from '../outbox/transitions.ts';
import type { Clock, Interrupt, Milliseconds, Random } from '../ports.ts';
import type { Gatekeeper } from './gatekeeper.ts';
import type { Leases } from './lease.ts';
import { report, type AttemptEvents } from './report.ts';
import type { Settler } from './settler.ts';
import type { Slot } from './slots.ts';
import type { Turn } from './turn.ts';

export type AttemptPorts = {
  readonly leases: Leases;
  readonly gatekeeper: Gatekeeper;
  readonly settler: Settler;
  readonly deliver: Deliver;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly events: AttemptEvents;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when a settlement made new messages. */
  readonly nudge: Nudge;
};

/** Where an attempt takes place: its turn in a queue with a rate, and the slot that it may leave before its end is recorded. */
export type Place = { readonly turn?: Turn | undefined; readonly slot?: Slot };

/** @param since the process's time before the claim was sent */
export async function attempt(
  message: ClaimedMessage,
  since: Milliseconds,
  ports: AttemptPorts,
  { turn, slot }: Place = {},
): Promise<void> {
  const { leases, events, clock } = ports;
  const lease = leases.hold(message, since);
  try {
    const came = turn ? await turn.come(lease.signal) : true;
    const { id, queue } = message;
    const reason = 'the lease ran out before the delivery began';
    if (came && !lease.isSafe()) return events.rejected({ id, queue, reason });
    const started = clock.now();
    let delivery = givenBack;
    if (came) {
      const handover = ports.deliver(message, lease.signal);
      delivery = endOf(await (turn?.spend(handover) ?? handover), lease.signal);
    }
    if (delivery.work?.begun() !== true) slot?.leave();
    const end = settle(message, delivery.outcome, delivery.backoff, ports.random, delivery.retryDelay);
    const tells = message.probe || end.to !== 'delivered'; // of its queue
    const settlement = tells ? await ports.gatekeeper.judge(message, delivery.outcome, end) : end;
    const settled = await recordEnd(settlement, delivery, ports);
    if (settled && settlement.to === 'delivered') nudgeFor(settlement.then, delivery, ports);
    report(message, settlement, settled, clock.now() - started, events);
  } finally {
    leases.drop(lease);
  }
}

function nudgeFor(then: readonly NewMessage[], { recorded }: Delivery, { nudge }: AttemptPorts): void {
  if (then.length === 0 && !recorded?.size) return;
  nudge([...then.map(({ queue }) => queue), ...(recorded ?? [])]);
}

/** The attempt does not count. */
export const givenBack: Delivery = {
  outcome: { type: 'released', reason: null, delay: 0 },
  backoff: defaultBackoff,
};

function endOf(delivery: Delivery, signal: Interrupt): Delivery {
  const { outcome: end } = delivery;
  const ambiguous = end.type === 'failure' && end.failure.ambiguous === true; // a possible duplicate stays on record
  if (!signal.aborted || end.type === 'delivered' || ambiguous) return delivery;
  // It failed because it was told to stop: not the message's doing.
  return { ...delivery, outcome: givenBack.outcome };
}

/** Not an async function: most handlers write nothing, and each promise less is a tenth of what an attempt leaves to collect. */
function recordEnd(
  settlement: Settlement,
  { work, once = false }: Delivery,
  ports: AttemptPorts,
): Promise<Settled | undefined> {
  return work?.begun() ? recordWith(work, settlement, once, ports) : ports.settler.settle(settlement);
}

async function recordWith(
  work: LazyTransaction,
  settlement: Settlement,
  once: boolean,
  ports: AttemptPorts,
): Promise<Settled | undefined> {
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
