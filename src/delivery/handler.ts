// Handlers of jobs and listeners: checked payload, a transaction that begins when it is first used, a timeout, and an end in any case:
// a handler that never returns does not keep its slot.

import type { z } from 'zod';
import { handlerContext } from '../action/context.ts';
import { createPatience } from '../action/patience.ts';
import type { Executor } from '../db/executor.ts';
import { lazyTransaction } from '../db/lazy.ts';
import type { Transactions } from '../db/transaction.ts';
import type { HandlerContext } from '../define/context.ts';
import type { Registry } from '../define/registry.ts';
import { decodePayload } from '../define/payload.ts';
import type { RetryPolicy } from '../define/retry.ts';
import type { Log } from '../metrics/log.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Interrupt } from '../ports.ts';
import { traceIdOf } from '../trace/trace.ts';
import type { Delivery } from './delivery.ts';
import { failureOf } from './failure.ts';

export type HandlerPorts = {
  readonly db: Transactions;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly emailFrom: string | null;
  readonly registry: Registry;
  readonly log: Log;
};

type Handled = {
  readonly kind: string;
  readonly name: string;
  readonly payload: z.ZodType;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | null;
  handler(ctx: HandlerContext, payload: unknown): Promise<void>;
};

export async function runHandler(
  handled: Handled,
  message: ClaimedMessage,
  outer: Interrupt,
  { db, outboxOn, emailFrom, registry, log }: HandlerPorts,
): Promise<Delivery> {
  const { backoff } = handled.retry;
  const work = lazyTransaction(db);
  const { timeoutMs } = handled;
  const timeout = timeoutMs === null ? null : { ms: timeoutMs, what: 'the handler' };
  const patience = createPatience([outer], timeout);
  const state = { open: true, recorded: false };
  try {
    const payload = await decodePayload(handled, message.payload);
    const { id, name, requestId, traceparent, attempt } = message;
    const ctx = handlerContext(
      {
        tx: work.tx,
        // What a handler does not ask for is not made. Methods, not arrows, here and below: tsx names each arrow anew for each message.
        get outbox() {
          return outboxOn(work.tx);
        },
        get signal() {
          return patience.signal;
        },
        get log() {
          return log.child({ message: id, name, attempt, traceId: traceIdOf(traceparent) });
        },
        emailFrom,
        registry,
        emits: null,
        caller: `${message.kind} ${name}`,
        invoker: { type: 'system', source: 'outbox' },
        requestId: requestId ?? id,
        traceparent: traceparent ?? undefined,
        parentId: id,
        onRecorded() {
          state.recorded = true;
        },
        isOpen() {
          return state.open;
        },
      },
      message,
    );
    await patience.race(handled.handler(ctx, payload));
    return { outcome: { type: 'delivered', then: [] }, backoff, work, recorded: state.recorded };
  } catch (error) {
    return { outcome: { type: 'failure', failure: failureOf(error) }, backoff, work, thrown: error };
  } finally {
    patience.stop();
    state.open = false; // a handler that goes on has no part in the transaction any more
  }
}
