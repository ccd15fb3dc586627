// Runs handlers of jobs and listeners: with a checked payload, a transaction that begins on first use, and a timeout. A handler that never returns
// does not keep its slot.

import type { z } from 'zod';
import { handlerContext, type ContextParts } from '../action/context.ts';
import { createDeadline, type Deadline } from '../action/deadline.ts';
import type { Executor } from '../db/executor.ts';
import { LazyTransaction } from '../db/lazy.ts';
import type { Scope } from '../db/scope.ts';
import type { Transactions } from '../db/transaction.ts';
import type { HandlerContext, Invoker } from '../define/context.ts';
import type { Registry } from '../define/registry.ts';
import { decode } from '../define/payload.ts';
import type { RetryPolicy } from '../define/retry.ts';
import type { Log } from '../metrics/log.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Outcome } from '../message/outcome.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Interrupt } from '../ports.ts';
import { traceIdOf } from '../trace/trace.ts';
import type { Delivery } from './delivery.ts';
import { askedDelay, failureOf } from './failure.ts';

export type HandlerPorts = {
  readonly db: Transactions;
  readonly outboxOn: (tx: Executor) => OutboxPort;
  readonly emailFrom: string | null;
  /** Its name among several; default null: there is one. */
  readonly database?: string | null | undefined;
  readonly registry: Registry;
  readonly log: Log;
};

type Handled = {
  readonly kind: string;
  readonly name: string;
  readonly payload: z.ZodType;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | null;
  handler(ctx: HandlerContext, payload: unknown): Promise<void> | void;
};

/** Not an async function. It makes only its own promise and the handler's: promises are most of the cost of a no-op job. */
export function runHandler(
  handled: Handled,
  message: ClaimedMessage,
  outer: Interrupt,
  ports: HandlerPorts,
): Promise<Delivery> {
  return new Promise((tell) => new Handling(handled, message, outer, ports, tell).begin());
}

const delivered: Outcome = { type: 'delivered', then: [] };
const invoker = { type: 'system', source: 'outbox' } as const;

/** One run of a handler, and the parts of its context. Parts that the handler does not use are not made. */
class Handling implements ContextParts {
  readonly #handled: Handled;
  readonly #message: ClaimedMessage;
  readonly #ports: HandlerPorts;
  readonly #deadline: Deadline;
  readonly #tell: (delivery: Delivery) => void;
  #work: LazyTransaction | undefined = undefined;
  #recorded: ReadonlySet<string> | undefined = undefined;
  #open = true;

  constructor(
    handled: Handled,
    message: ClaimedMessage,
    outer: Interrupt,
    ports: HandlerPorts,
    tell: (delivery: Delivery) => void,
  ) {
    this.#handled = handled;
    this.#message = message;
    this.#ports = ports;
    this.#tell = tell;
    this.#deadline = createDeadline([outer]);
  }

  begin(): void {
    try {
      const payload: unknown = decode(this.#handled, this.#message.payload);
      if (payload instanceof Promise)
        payload.then((decoded) => this.#run(decoded)).catch((error: unknown) => this.#failed(error));
      else this.#run(payload);
    } catch (error) {
      this.#failed(error);
    }
  }

  #run(payload: unknown): void {
    const { timeoutMs } = this.#handled;
    const running = this.#handled.handler(handlerContext(this, this.#message), payload);
    if (timeoutMs !== null) this.#deadline.limit({ ms: timeoutMs, what: 'the handler' }); // a timer cannot interrupt synchronous code
    this.#deadline.wait(
      running,
      () => this.#delivered(),
      (error) => this.#failed(error),
    );
  }

  #delivered(): void {
    try {
      this.#work?.scope.finish();
    } catch (error) {
      return this.#failed(error);
    }
    this.#end(delivered);
  }

  #failed(error: unknown): void {
    this.#end({ type: 'failure', failure: failureOf(error) }, error);
  }

  /** Only the first call has an effect. */
  #end(outcome: Outcome, thrown?: unknown): void {
    this.#deadline.stop();
    this.#open = false; // a handler that goes on can no longer use the transaction
    void this.#work?.scope.close();
    const { backoff } = this.#handled.retry;
    const retryDelay = askedDelay(thrown);
    this.#tell({ outcome, backoff, work: this.#work, recorded: this.#recorded, thrown, retryDelay });
  }

  get emits(): null {
    return null;
  }

  get invoker(): Invoker {
    return invoker;
  }

  get #transaction(): LazyTransaction {
    return (this.#work ??= new LazyTransaction(this.#ports.db));
  }

  get scope(): Scope {
    return this.#transaction.scope;
  }

  get outbox(): OutboxPort {
    return this.#ports.outboxOn(this.#transaction.tx);
  }

  get signal(): AbortSignal {
    return this.#deadline.signal;
  }

  get log(): Log {
    const { id, name, attempt, traceparent } = this.#message;
    return this.#ports.log.child({ message: id, name, attempt, traceId: traceIdOf(traceparent) });
  }

  get emailFrom(): string | null {
    return this.#ports.emailFrom;
  }

  get database(): string | null | undefined {
    return this.#ports.database;
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

  onRecorded(places: readonly string[]): void {
    this.#recorded = new Set([...(this.#recorded ?? []), ...places]);
  }

  isOpen(): boolean {
    return this.#open;
  }
}
