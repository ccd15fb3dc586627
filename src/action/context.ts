// ctx: what a handler reads, writes and enqueues through. All of it happens on one transaction, so all of it commits or none does (invariant A).

import type { z } from 'zod';
import type { Transaction } from '../db/transaction.ts';
import type { ActionContext, ContextDatabase, EmailMessage, EnqueueOptions, HandlerContext, Invoker, WithPayload } from '../define/context.ts';
import type { Event } from '../define/event.ts';
import { eventQueue } from '../define/event.ts';
import { encodePayload } from '../define/payload.ts';
import { prepareEmail } from '../email/email.ts';
import type { Log } from '../metrics/log.ts';
import { WaybillError } from '../outbox/errors.ts';
import type { ClaimedMessage, Enqueued, NewMessage } from '../outbox/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Retry } from '../define/retry.ts';

export const emailQueue = 'email';

export type ContextOptions = {
  readonly tx: Transaction;
  /** The outbox on that transaction. */
  readonly outbox: OutboxPort;
  readonly emailFrom: string | null;
  readonly emailRetry: Retry;
  /** Who calls, for errors: `action orders.place`. */
  readonly caller: string;
  /** The events that may be recorded; null: any. */
  readonly emits: readonly Event[] | null;
  readonly invoker: Invoker;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly requestId: string;
  readonly parentId?: string;
  /** Called when a message was recorded. */
  readonly onRecorded: () => void;
};

export function createContext(options: ContextOptions): ActionContext {
  const { tx, invoker, signal, log, requestId } = options;
  const enqueue = enqueueOn(options);
  const recordMany = async <S extends z.ZodType>(event: Event<S>, all: readonly WithPayload<S>[]): Promise<Enqueued[]> => {
    checkDeclared(options, event);
    return enqueue(await Promise.all(all.map((one) => eventMessage(event, one))));
  };
  return {
    db: databaseOn(tx),
    email: { enqueue: emailOn(options) },
    events: {
      recordMany,
      record: async (event, payload, how = {}) => first(await recordMany(event, [{ ...how, payload }])),
    },
    jobs: {
      dispatch: async (job, payload, how = {}) => first(await enqueue([await jobMessage(job, { ...how, payload })])),
      dispatchMany: async (job, all) => enqueue(await Promise.all(all.map((one) => jobMessage(job, one)))),
    },
    push: {
      async enqueue() {
        throw new WaybillError('push_not_available', 'push messages are not delivered yet: use ctx.email.enqueue');
      },
    },
    invoker, signal, log, requestId,
  };
}

/** The same for handlers of jobs and listeners, with the message that they work on. */
export function handlerContext(options: ContextOptions, message: ClaimedMessage): HandlerContext {
  const { id, attempt, maxAttempts, deliveryKey } = message;
  return { ...createContext({ ...options, parentId: id }), message: { id, attempt, maxAttempts, deliveryKey } };
}

function databaseOn(tx: Transaction): ContextDatabase {
  return {
    async query<Row>(sql: string, params?: readonly unknown[]) {
      const { rows } = await tx.executeSql<Row>(sql, params);
      return { rows, rowCount: rows.length };
    },
    transaction: (body) => tx.savepoint((inner) => body(databaseOn(inner))),
    client: tx.client,
  };
}

function enqueueOn({ outbox, requestId, parentId, onRecorded }: ContextOptions) {
  return async (messages: readonly NewMessage[]): Promise<Enqueued[]> => {
    const enqueued = await outbox.enqueue(messages.map((message) => ({ ...message, requestId, parentId })));
    if (enqueued.length > 0) onRecorded();
    return enqueued;
  };
}

function emailOn(options: ContextOptions) {
  const { emailFrom, emailRetry } = options;
  const enqueue = enqueueOn(options);
  const messageOf = (given: EmailMessage): NewMessage => {
    const { deliveryKey, availableAt, priority, ...email } = given;
    const payload = prepareEmail(email, { defaultFrom: emailFrom });
    return { kind: 'email', name: 'email', queue: emailQueue, payload, maxAttempts: emailRetry.maxAttempts, deliveryKey, availableAt, priority };
  };
  async function one(email: EmailMessage): Promise<Enqueued>;
  async function one(emails: readonly EmailMessage[]): Promise<Enqueued[]>;
  async function one(given: EmailMessage | readonly EmailMessage[]): Promise<Enqueued | Enqueued[]> {
    if (Array.isArray(given)) return enqueue((given as readonly EmailMessage[]).map(messageOf));
    return first(await enqueue([messageOf(given as EmailMessage)]));
  }
  return one;
}

async function eventMessage<S extends z.ZodType>(event: Event<S>, { payload, ...how }: WithPayload<S>): Promise<NewMessage> {
  return { kind: 'event', name: event.name, queue: eventQueue, payload: await encodePayload(event, payload), ...options(how) };
}

type Target<S extends z.ZodType> = { kind: 'job'; name: string; payload: S; queue: string; retry: Retry };

async function jobMessage<S extends z.ZodType>(job: Readonly<Target<S>>, { payload, ...how }: WithPayload<S>): Promise<NewMessage> {
  const { name, queue, retry } = job;
  return { kind: 'job', name, queue, payload: await encodePayload(job, payload), maxAttempts: retry.maxAttempts, ...options(how) };
}

/** Only what a caller may set: a queue or an attempt count in here would be a typing error. */
function options({ deliveryKey, availableAt, priority, ...rest }: EnqueueOptions): EnqueueOptions {
  const [unknown] = Object.keys(rest);
  if (unknown) throw new WaybillError('unknown_option', `there is no option ${unknown}; there are deliveryKey, availableAt and priority`);
  return { deliveryKey, availableAt, priority };
}

function checkDeclared({ emits, caller }: ContextOptions, event: Event): void {
  if (emits === null || emits.includes(event)) return;
  throw new WaybillError('event_not_declared', `the ${caller} records the event ${event.name} but does not declare it: add it to its emits`);
}

function first(enqueued: readonly Enqueued[]): Enqueued {
  return enqueued[0]!;
}
