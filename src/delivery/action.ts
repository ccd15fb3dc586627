// Delivers actions: ticks of cron, and actions recorded by SQL. As over HTTP, an action is one transaction, and is retried only if it is
// safeToRetry. The run's end, the action and the settlement commit together or not at all.

import { parseArguments } from '../action/arguments.ts';
import { createDeadline } from '../action/deadline.ts';
import { performAction } from '../action/run.ts';
import { findTick, succeed, type Tick } from '../cron/runs.ts';
import { LazyTransaction } from '../db/lazy.ts';
import type { Action } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import { defaultBackoff } from '../message/backoff.ts';
import { isOf } from '../errors.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Failure } from '../message/outcome.ts';
import type { Interrupt, Milliseconds, Random } from '../ports.ts';
import type { Delivery } from './delivery.ts';
import { askedDelay, failureOf, RetryAfter } from './failure.ts';
import type { HandlerPorts } from './handler.ts';

export type ActionDeliveryPorts = HandlerPorts & {
  /** Hash of the manifest that this process loaded. */
  readonly manifest: string;
  readonly random?: Random;
};

/**
 * Time for another worker to claim it. It differs each time: with a fixed one, ticks that are returned together would be due at the same moment of
 * everybody's polls, and the worker that returned them could be the first for ever.
 */
const returnDelay = (random: Random): Milliseconds => Math.round(500 + 1_000 * random());

/** @param unknown gives the delivery when the application has no such action */
export async function runAction(
  action: Action | undefined,
  message: ClaimedMessage,
  outer: Interrupt,
  ports: ActionDeliveryPorts,
  unknown: () => Delivery,
): Promise<Delivery> {
  const work = new LazyTransaction(ports.db);
  const backoff = defaultBackoff;
  const timeout = action && { ms: action.timeoutMs, what: `the action ${action.name}` };
  const deadline = createDeadline([outer]);
  if (timeout) deadline.limit(timeout);
  const { signal } = deadline;
  let begun = false;
  try {
    const tick = await findTick(work.tx, message.id);
    if (tick !== undefined && tick.manifest !== ports.manifest) return { ...returned(tick, ports), work };
    if (action === undefined) return { ...unknown(), work };
    const args = await parseArguments(action, message.payload);
    begun = true;
    const running = perform(action, args, { message, tick, signal, work }, ports);
    const recorded = await deadline.race(running);
    return { outcome: { type: 'delivered', then: [] }, backoff, work, recorded, once: !action.safeToRetry };
  } catch (error) {
    const failure = failureOf(error);
    const again = !begun || action?.safeToRetry === true || isOf(error, RetryAfter);
    return {
      outcome: { type: 'failure', failure: again ? failure : final(failure) },
      backoff,
      work,
      thrown: error,
      retryDelay: askedDelay(error),
    };
  } finally {
    deadline.stop();
  }
}

/** What belongs to one delivery. */
type OfDelivery = {
  readonly message: ClaimedMessage;
  readonly tick: Tick | undefined;
  readonly signal: AbortSignal;
  readonly work: LazyTransaction;
};

/** Runs the handler and records the success of its run. Returns the queues and priorities in which it recorded messages. */
async function perform(
  action: Action,
  args: unknown,
  { message, tick, signal, work }: OfDelivery,
  ports: ActionDeliveryPorts,
): Promise<ReadonlySet<string>> {
  const { id, requestId, traceparent } = message;
  const call = {
    signal,
    parentId: id,
    requestId: requestId ?? id,
    traceparent: traceparent ?? undefined,
    invoker: invokerOf(tick),
  };
  const { tx, scope } = work;
  const { result, recorded } = await performAction(action, args, call, { ...ports, tx, scope });
  signal.throwIfAborted(); // the transaction may be over already
  if (tick !== undefined) await succeed(tx, tick.id, result);
  return recorded;
}

/** An action that its author did not call safeToRetry never runs again after an error. */
function final(failure: Failure): Failure {
  return { ...failure, type: 'permanent' };
}

function returned({ manifest }: Tick, ports: ActionDeliveryPorts): Delivery {
  const reason = `stale_manifest: the tick is of the cron manifest ${manifest}, this worker has ${ports.manifest}`;
  return {
    outcome: { type: 'released', reason, delay: returnDelay(ports.random ?? Math.random) },
    backoff: defaultBackoff,
  };
}

function invokerOf(tick: Tick | undefined): Invoker {
  if (tick === undefined) return { type: 'system', source: 'outbox' };
  const { source, scheduledAt, dispatchedAt, catchUpFrom: from, catchUpTo: to, skippedTicks } = tick;
  const isCatchUp = (from !== null && to !== null) || skippedTicks > 0;
  return {
    type: 'system',
    source,
    scheduledAt,
    dispatchedAt,
    ...(from !== null && to !== null ? { catchUpWindow: { from, to } } : {}),
    ...(isCatchUp ? { skippedTicks } : {}),
  };
}
