// What a handler is given. Only the types: src/action/context.ts makes it.

import type { z } from 'zod';
import type { PgLike } from '../db/executor.ts';
import type { EmailInput } from '../email/email.ts';
import type { Log } from '../metrics/log.ts';
import type { Enqueued } from '../message/message.ts';
import type { Event } from './event.ts';
import type { RetryPolicy } from './retry.ts';

/** On whose behalf the work is done. */
export type Invoker =
  | { readonly type: 'anonymous' }
  | { readonly type: 'user'; readonly id?: string; readonly claims?: Readonly<Record<string, unknown>> }
  | {
      readonly type: 'system';
      readonly source: 'outbox' | 'cron' | 'admin';
      /** Of cron, also by hand: the tick's own time. */
      readonly scheduledAt?: Date;
      readonly dispatchedAt?: Date;
      /** The first and the last tick of the catch-up that this one is part of. */
      readonly catchUpWindow?: { readonly from: Date; readonly to: Date };
      /** Missed ticks before this one that did not run. */
      readonly skippedTicks?: number;
    };

export type QueryResult<Row> = { readonly rows: Row[]; readonly rowCount: number };

/** The transaction of the handler. What is enqueued meanwhile is part of it. */
export type ContextDatabase = {
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>>;
  /**
   * A savepoint: undone alone when `body` throws, together with what was enqueued inside it. Several at the same time run one after the
   * other; what `body` asks of `ctx` or of `tx` belongs to it, whichever of the two it uses.
   */
  transaction<T>(body: (tx: ContextDatabase) => Promise<T> | T): Promise<T>;
  /** For a query builder that is to join the transaction. What begins or ends a transaction is refused: `transaction_statement`. */
  readonly client: PgLike;
};

export type EnqueueOptions = {
  /** A second message of the same kind, name and key is not recorded. 1 … 255 printable characters. */
  readonly deliveryKey?: string | undefined;
  /** Not before this. */
  readonly availableAt?: Date | undefined;
  /** Higher goes first. −1000 … 1000, default 0. */
  readonly priority?: number | undefined;
};

/** What dispatching needs to know of a job. */
export type JobTarget<S extends z.ZodType = z.ZodType> = {
  readonly kind: 'job';
  readonly name: string;
  readonly payload: S;
  readonly queue: string;
  readonly retry: RetryPolicy;
};

export type EmailMessage = EmailInput & EnqueueOptions;
export type WithPayload<S extends z.ZodType> = EnqueueOptions & { readonly payload: z.output<S> };

/** Where `idempotent` finds what it needs of a context. */
export const onceKey: unique symbol = Symbol('waybill: once');

/** Recording events: those of the union `E`. */
export type EventRecorder<E extends Event = Event> = {
  record<T extends E>(event: T, payload: z.output<T['payload']>, options?: EnqueueOptions): Promise<Enqueued>;
  recordMany<T extends E>(event: T, all: readonly WithPayload<T['payload']>[]): Promise<Enqueued[]>;
};

/** `E`: the events that may be recorded, those of an action's `emits`. */
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
    /** Ends a message that waits, when the transaction commits. False when it runs already, has ended, or is not there. */
    cancel(id: string): Promise<boolean>;
  };
  /** Not available: throws an error that names `ctx.email.enqueue`. */
  readonly push: { enqueue(...anything: readonly unknown[]): Promise<never> };
  readonly invoker: Invoker;
  /** Aborts when nobody waits for the result any more, or the work must end. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly requestId: string;
};

/** What the handlers of jobs and listeners have beside that. */
export type HandlerContext = ActionContext & {
  readonly message: {
    readonly id: string;
    /** 1 for the first. */
    readonly attempt: number;
    readonly maxAttempts: number;
    readonly deliveryKey: string | null;
  };
};
