// Types of the context (`ctx`) that every handler receives. src/action/context.ts creates it.

import type { z } from 'zod';
import type { PgLike } from '../db/executor.ts';
import type { EmailInput } from '../email/email.ts';
import type { Log } from '../metrics/log.ts';
import type { DuplicateOptions } from '../message/duplicate.ts';
import type { SealOptions, Sealing } from '../message/seal.ts';
import type { OnDead } from '../message/flow.ts';
import type { TagOptions } from '../message/tags.ts';
import type { Enqueued } from '../message/message.ts';
import type { Event } from './event.ts';
import type { RetryPolicy } from './retry.ts';

/** Who caused the work: an anonymous caller, a user, or the system. */
export type Invoker =
  | { readonly type: 'anonymous' }
  | { readonly type: 'user'; readonly id?: string; readonly claims?: Readonly<Record<string, unknown>> }
  | {
      readonly type: 'system';
      readonly source: 'outbox' | 'cron' | 'admin';
      /** The time of the cron tick, also when an operator started the run. */
      readonly scheduledAt?: Date;
      readonly dispatchedAt?: Date;
      /** The first and last tick of the catch-up that includes this run. */
      readonly catchUpWindow?: { readonly from: Date; readonly to: Date };
      /** How many missed ticks before this one did not run. */
      readonly skippedTicks?: number;
    };

export type QueryResult<Row> = { readonly rows: Row[]; readonly rowCount: number };

/** The handler's transaction. Messages that the handler enqueues commit or roll back with it. */
export type ContextDatabase = {
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>>;
  /**
   * Runs `body` in a savepoint. When `body` throws, its changes and messages are rolled back; the outer transaction goes on.
   * Concurrent calls run one after the other. Inside `body`, calls on `ctx` and on `tx` both belong to the savepoint.
   */
  transaction<T>(body: (tx: ContextDatabase) => Promise<T> | T): Promise<T>;
  /** A client for a query builder. Statements that begin or end a transaction throw `transaction_statement`. */
  readonly client: PgLike;
};

export type EnqueueOptions = {
  /** A second message with the same kind, name and key is not recorded. 1 … 255 printable characters. */
  readonly deliveryKey?: string | undefined;
  /** The message is not delivered before this time. */
  readonly availableAt?: Date | undefined;
  /** Messages with a higher priority go first. −1000 … 1000, default 0. */
  readonly priority?: number | undefined;
  /** What the message belongs to, such as a tenant. 1 … 200 characters, no control characters. */
  readonly group?: string | undefined;
  /**
   * What the message must be in order with, such as an account: messages of a queue with the same order key are delivered one at a time, in the
   * order of their commits. 1 … 200 characters, no control characters.
   */
  readonly orderKey?: string | undefined;
} & TagOptions &
  DuplicateOptions;

/** The parts of a job that dispatching needs. */
export type JobTarget<S extends z.ZodType = z.ZodType> = {
  readonly kind: 'job';
  readonly name: string;
  readonly payload: S;
  readonly queue: string;
  readonly retry: RetryPolicy;
  readonly onDead: OnDead;
} & Sealing;

export type EmailMessage = EmailInput & EnqueueOptions & SealOptions;
export type WithPayload<S extends z.ZodType> = EnqueueOptions & { readonly payload: z.output<S> };

/** The context's key for the function behind `idempotent`. */
export const onceKey: unique symbol = Symbol('waybill: once');

/** Records the events of the union `E`. */
export type EventRecorder<E extends Event = Event> = {
  record<T extends E>(event: T, payload: z.output<T['payload']>, options?: EnqueueOptions): Promise<Enqueued>;
  recordMany<T extends E>(event: T, all: readonly WithPayload<T['payload']>[]): Promise<Enqueued[]>;
};

/** The context of an action. `E` is the union of the events in its `emits`. */
export type ActionContext<E extends Event = Event> = {
  /** For `idempotent(ctx, key, fn)`. */
  readonly [onceKey]: (key: string, make: () => unknown) => Promise<unknown>;
  readonly db: ContextDatabase;
  readonly email: {
    enqueue(email: EmailMessage): Promise<Enqueued>;
    enqueue(emails: readonly EmailMessage[]): Promise<Enqueued[]>;
  };
  readonly events: EventRecorder<E>;
  readonly jobs: {
    dispatch<S extends z.ZodType>(
      job: JobTarget<S>,
      payload: z.output<S>,
      options?: EnqueueOptions,
    ): Promise<Enqueued>;
    dispatchMany<S extends z.ZodType>(job: JobTarget<S>, all: readonly WithPayload<S>[]): Promise<Enqueued[]>;
    /** Cancels a waiting message when the transaction commits. Returns false when the message is running, has ended or does not exist. */
    cancel(id: string): Promise<boolean>;
  };
  /** Not available. The promise rejects with `push_not_available`. */
  readonly push: { enqueue(...anything: readonly unknown[]): Promise<never> };
  readonly invoker: Invoker;
  /** Aborts when the caller has disconnected, the timeout has passed or the work must end. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly requestId: string;
};

/** The context of a job's or listener's handler: that of an action, and the message. */
export type HandlerContext = ActionContext & {
  readonly message: {
    readonly id: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
    readonly maxAttempts: number;
    readonly deliveryKey: string | null;
  };
};
