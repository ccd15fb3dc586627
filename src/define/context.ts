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
      /** When the run was put into the outbox. */
      readonly dispatchedAt?: Date;
      /** The first and last tick of the catch-up that includes this run. */
      readonly catchUpWindow?: { readonly from: Date; readonly to: Date };
      /** How many missed ticks before this one did not run. */
      readonly skippedTicks?: number;
    };

/** The result of one statement. */
export type QueryResult<Row> = { readonly rows: Row[]; readonly rowCount: number };

/** The handler's transaction. Messages that the handler enqueues commit or roll back with it. */
export type ContextDatabase = {
  /** Runs one statement; values are numbered `$1 …` in the text. Errors of the database pass through. */
  query<Row = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<QueryResult<Row>>;
  /**
   * Runs `body` in a savepoint. When `body` throws, its changes and messages are rolled back; the outer transaction goes on.
   * Concurrent calls run one after the other. Inside `body`, calls on `ctx` and on `tx` both belong to the savepoint.
   */
  transaction<T>(body: (tx: ContextDatabase) => Promise<T> | T): Promise<T>;
  /** A client for a query builder. Statements that begin or end a transaction throw `transaction_statement`. */
  readonly client: PgLike;
};

/** Options of every message. */
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
  /** Unique among the jobs of the application. */
  readonly name: string;
  /** The schema of the payload. It is checked when a message is recorded and again when it is delivered. */
  readonly payload: S;
  /** The queue of its messages. */
  readonly queue: string;
  readonly retry: RetryPolicy;
  readonly onDead: OnDead;
} & Sealing;

/** The parts of an endpoint that sending needs. */
export type EndpointTarget<S extends z.ZodType = z.ZodType> = {
  readonly kind: 'endpoint';
  /** Unique among the endpoints of the application. */
  readonly name: string;
  /** The schema of the payload. It is checked when a webhook is recorded. */
  readonly payload: S;
  readonly retry: RetryPolicy;
  /** The definition stands for many endpoints, and `to(id)` names one. */
  readonly isMany: boolean;
} & Sealing;

/** One of the endpoints of a definition: what its `to(id)` returns. */
export type EndpointRef<S extends z.ZodType = z.ZodType> = {
  readonly endpoint: EndpointTarget<S>;
  readonly id: string;
};

/** Where a webhook goes: a definition with a url of its own, or `to(id)` of one with `resolve`. */
export type WebhookTo<S extends z.ZodType = z.ZodType> = EndpointTarget<S> | EndpointRef<S>;

/** Options of a webhook. Its group is its endpoint. */
export type WebhookOptions = Omit<EnqueueOptions, 'group'>;

/** Which webhooks are sent again. */
export type ReplayOptions = {
  /** Those that were recorded since then … */
  readonly since: Date;
  /** … until then. Default: until now. */
  readonly until?: Date;
  /** Delivered ones too. Default: those that are dead or wait for a retry. Refused in an action that is `safeToRetry`. */
  readonly all?: boolean;
  /** Delivered ones get new ids. Default false: a receiver that keeps ids sees that it had them. */
  readonly newIds?: boolean;
  /** Where an earlier call ended: its `next`. Default: the replay begins. */
  readonly from?: string;
};

/** What a replay did. */
export type Replayed = {
  /** Dead ones that are attempted again. */
  readonly retried: number;
  /** Ones that waited for a later attempt, and are due now. */
  readonly hastened: number;
  /** Delivered ones that were recorded again. */
  readonly recorded: number;
  /** One call takes 500 of each. There are more: call it again with this as `from`, also in another transaction. Null: that was all. */
  readonly next: string | null;
};

/** An email with the options of every message. */
export type EmailMessage = EmailInput & EnqueueOptions & SealOptions;
/** A payload with the options of its message. */
export type WithPayload<S extends z.ZodType> = EnqueueOptions & { readonly payload: z.output<S> };

/** The context's key for the function behind `idempotent`. */
export const onceKey: unique symbol = Symbol('waybill: once');

/** Records the events of the union `E`. */
export type EventRecorder<E extends Event = Event> = {
  /** Records one event in the transaction. @throws WaybillError `payload_invalid`, `event_not_declared` */
  record<T extends E>(event: T, payload: z.output<T['payload']>, options?: EnqueueOptions): Promise<Enqueued>;
  /**
   * Records several events of one definition, in one statement; the answers stand in the order of `all`. @throws WaybillError `payload_invalid`,
   * `event_not_declared`
   */
  recordMany<T extends E>(event: T, all: readonly WithPayload<T['payload']>[]): Promise<Enqueued[]>;
};

/** The context of an action. `E` is the union of the events in its `emits`. */
export type ActionContext<E extends Event = Event> = {
  /** For `idempotent(ctx, key, fn)`. */
  readonly [onceKey]: (key: string, make: () => unknown) => Promise<unknown>;
  /** The handler's transaction. */
  readonly db: ContextDatabase;
  /** The name in WAYBILL_DATABASES of the database that `db` is of. Null where there is only one. */
  readonly database: string | null;
  /** Records emails in the transaction. */
  readonly email: {
    /** Checks and records one email. @throws WaybillError whose code says what is wrong with the email */
    enqueue(email: EmailMessage): Promise<Enqueued>;
    /** Checks and records several emails in one statement: all or none. @throws WaybillError as for one */
    enqueue(emails: readonly EmailMessage[]): Promise<Enqueued[]>;
  };
  /** Records events in the transaction. */
  readonly events: EventRecorder<E>;
  /** Records and cancels jobs in the transaction. */
  readonly jobs: {
    /** Records one job. @throws WaybillError `payload_invalid` */
    dispatch<S extends z.ZodType>(
      job: JobTarget<S>,
      payload: z.output<S>,
      options?: EnqueueOptions,
    ): Promise<Enqueued>;
    /** Records several messages of one job, in one statement; the answers stand in the order of `all`. @throws WaybillError `payload_invalid` */
    dispatchMany<S extends z.ZodType>(job: JobTarget<S>, all: readonly WithPayload<S>[]): Promise<Enqueued[]>;
    /** Cancels a waiting message when the transaction commits. Returns false when the message is running, has ended or does not exist. */
    cancel(id: string): Promise<boolean>;
  };
  /** Records webhooks in the transaction, and steers endpoints (docs/webhooks.md). */
  readonly webhooks: {
    /** Records one webhook. @throws WaybillError `payload_invalid`, `endpoint_invalid`, `unknown_endpoint` */
    send<S extends z.ZodType>(
      to: WebhookTo<S>,
      payload: z.output<S>,
      options?: WebhookOptions,
    ): Promise<Enqueued>;
    /** Records several webhooks to one endpoint, in one statement; the answers stand in the order of `all`. @throws WaybillError as `send` */
    sendMany<S extends z.ZodType>(
      to: WebhookTo<S>,
      all: readonly (WebhookOptions & { readonly payload: z.output<S> })[],
    ): Promise<Enqueued[]>;
    /** Opens a parked or held endpoint when the transaction commits. A pause by a person stays. Returns false when it was open. @throws WaybillError `endpoint_invalid`, `unknown_endpoint` */
    resume(to: WebhookTo): Promise<boolean>;
    /** Sends webhooks again, when the transaction commits. @throws WaybillError `endpoint_invalid`, `unknown_endpoint`, `invalid_time`, `options_invalid`, `replay_sensitive` */
    replay(to: WebhookTo, options: ReplayOptions): Promise<Replayed>;
  };
  /** Not available. The promise rejects with `push_not_available`. */
  readonly push: {
    /** @throws WaybillError `push_not_available`, always */
    enqueue(...anything: readonly unknown[]): Promise<never>;
  };
  /** Who caused the work. */
  readonly invoker: Invoker;
  /** Aborts when the caller has disconnected, the timeout has passed or the work must end. */
  readonly signal: AbortSignal;
  /** A logger whose lines have the request, the trace and the message. */
  readonly log: Log;
  /** The same in logs, in answers over HTTP and in the messages that are enqueued. */
  readonly requestId: string;
};

/** The context of a job's or listener's handler: that of an action, and the message. */
export type HandlerContext = ActionContext & {
  /** The message that is delivered. */
  readonly message: {
    /** The same on every attempt: an idempotency key for providers. */
    readonly id: string;
    /** 1 for the first attempt. */
    readonly attempt: number;
    /** The attempt with this number is the last one. */
    readonly maxAttempts: number;
    readonly deliveryKey: string | null;
  };
};
