// Handlers of jobs and listeners: checked payload, a transaction that begins when it is first used, a timeout, and an end in any case:
// a handler that never returns does not keep its slot.

import type { z } from 'zod';
import { handlerContext, type ContextParts } from '../action/context.ts';
import { createPatience, type Patience } from '../action/patience.ts';
import type { Executor } from '../db/executor.ts';
import { lazyTransaction, type LazyTransaction } from '../db/lazy.ts';
import type { Transaction, Transactions } from '../db/transaction.ts';
import type { HandlerContext, Invoker } from '../define/context.ts';
import type { Registry } from '../define/registry.ts';
import { decode } from '../define/payload.ts';
import type { RetryPolicy } from '../define/retry.ts';
import type { Log } from '../metrics/log.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { Outcome } from '../outbox/outcome.ts';
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
  ports: HandlerPorts,
): Promise<Delivery> {
  const { timeoutMs, retry } = handled;
  const { backoff } = retry;
  const patience = createPatience(
    [outer],
    timeoutMs === null ? null : { ms: timeoutMs, what: 'the handler' },
  );
  const parts = new Parts(ports, message, patience);
  try {
    const decoding = decode(handled, message.payload);
    const payload: unknown = decoding instanceof Promise ? await decoding : decoding;
    await patience.race(handled.handler(handlerContext(parts, message), payload));
    return { outcome: delivered, backoff, work: parts.work, recorded: parts.recorded };
  } catch (error) {
    const outcome: Outcome = { type: 'failure', failure: failureOf(error) };
    return { outcome, backoff, work: parts.work, thrown: error };
  } finally {
    patience.stop();
    parts.open = false; // a handler that goes on has no part in the transaction any more
  }
}

const delivered: Outcome = { type: 'delivered', then: [] };
const invoker = { type: 'system', source: 'outbox' } as const;

/** What the context of one message is made of. What a handler does not ask for is not made. */
class Parts implements ContextParts {
  readonly #ports: HandlerPorts;
  readonly #message: ClaimedMessage;
  readonly #patience: Patience;
  /** Where the handler asked for its transaction. */
  work: LazyTransaction | undefined = undefined;
  open = true;
  recorded: ReadonlySet<string> | undefined = undefined;

  constructor(ports: HandlerPorts, message: ClaimedMessage, patience: Patience) {
    this.#ports = ports;
    this.#message = message;
    this.#patience = patience;
  }

  get emits(): null {
    return null;
  }

  get invoker(): Invoker {
    return invoker;
  }

  get tx(): Transaction {
    return (this.work ??= lazyTransaction(this.#ports.db)).tx;
  }

  get outbox(): OutboxPort {
    return this.#ports.outboxOn(this.tx);
  }

  get signal(): AbortSignal {
    return this.#patience.signal;
  }

  get log(): Log {
    const { id, name, attempt, traceparent } = this.#message;
    return this.#ports.log.child({ message: id, name, attempt, traceId: traceIdOf(traceparent) });
  }

  get emailFrom(): string | null {
    return this.#ports.emailFrom;
  }

  get registry(): Registry {
    return this.#ports.registry;
  }

  get caller(): string {
    return `${this.#message.kind} ${this.#message.name}`;
  }

  get requestId(): string {
    return this.#message.requestId ?? this.#message.id;
  }

  get traceparent(): string | undefined {
    return this.#message.traceparent ?? undefined;
  }

  get parentId(): string {
    return this.#message.id;
  }

  onRecorded(queues: readonly string[]): void {
    this.recorded = new Set([...(this.recorded ?? []), ...queues]);
  }

  isOpen(): boolean {
    return this.open;
  }
}
