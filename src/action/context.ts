// Creates the context (`ctx`) of a handler. Its messages are recorded on the connection of the handler's transaction,
// so they commit or roll back with it, savepoints included (invariant A).

import type { z } from 'zod';
import type { Scope } from '../db/scope.ts';
import {
  onceKey,
  type ActionContext,
  type HandlerContext,
  type Invoker,
  type JobTarget,
  type WithPayload,
} from '../define/context.ts';
import type { Event } from '../define/event.ts';
import { eventMessages, jobMessages, withPayload } from '../define/messages.ts';
import type { Registry } from '../define/registry.ts';
import type { Log } from '../metrics/log.ts';
import { WaybillError } from '../errors.ts';
import { placeOf } from '../outbox/notify.ts';
import type { ClaimedMessage, Enqueued, NewMessage } from '../message/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { contextDatabase } from './database.ts';
import { emailEnqueuer, type Enqueue } from './email.ts';
import { onceWithin } from './once.ts';
import { push } from './push.ts';
import { webhooksOf } from './webhooks.ts';
import { tracedCreate } from '../trace/message.ts';

export type ContextParts = {
  /** The scope of the handler's transaction. */
  readonly scope: Scope;
  /** An outbox on that transaction. */
  readonly outbox: OutboxPort;
  /** The handler's title in errors: `action placeOrder`. */
  readonly caller: string;
  readonly invoker: Invoker;
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly requestId: string;
  readonly emailFrom: string | null;
  /** Its name among several; default null: there is one. */
  readonly database?: string | null | undefined;
  /** The events that the handler may record; null: any. */
  readonly emits: readonly Event[] | null;
  /** If set, only events and jobs of this registry can be enqueued. */
  readonly registry?: Registry;
  readonly traceparent?: string | undefined;
  readonly parentId?: string | undefined;
  /** The action may run twice, so messages without a delivery key are refused. */
  readonly keysRequired?: boolean;
  /** Called with the queues and priorities of recorded messages, to notify (src/outbox/notify.ts). */
  readonly onRecorded?: (places: readonly string[]) => void;
  /** False once the handler has ended. */
  readonly isOpen?: () => boolean;
};

export function createContext(parts: ContextParts): ActionContext {
  return new Context(parts);
}

/**
 * Creates each part on first use: most handlers use few, and all of them cost more than a short handler.
 * A class, because V8 creates a new shape for each object with its own getters, so for each message.
 */
class Context implements ActionContext {
  readonly #parts: ContextParts;
  readonly invoker: Invoker;
  readonly requestId: string;
  readonly push = push;
  #db: ActionContext['db'] | undefined = undefined;
  #email: ActionContext['email'] | undefined = undefined;
  #webhooks: ActionContext['webhooks'] | undefined = undefined;
  #recording: Pick<ActionContext, 'events' | 'jobs'> | undefined = undefined;
  #log: Log | undefined = undefined;

  constructor(parts: ContextParts) {
    this.#parts = parts;
    this.invoker = parts.invoker;
    this.requestId = parts.requestId;
  }

  [onceKey](key: string, make: () => unknown): Promise<unknown> {
    return this.#parts.scope.hold(async () => {
      checkOpen(this.#parts);
      return onceWithin(this.#parts, key, make);
    });
  }

  get db(): ActionContext['db'] {
    return (this.#db ??= contextDatabase(this.#parts.scope, () => checkOpen(this.#parts)));
  }

  get database(): string | null {
    return this.#parts.database ?? null;
  }

  get email(): ActionContext['email'] {
    const { emailFrom: from, registry } = this.#parts;
    const defaults = { from, maxAttempts: registry?.app.email.retry.maxAttempts };
    return (this.#email ??= { enqueue: emailEnqueuer(defaults, enqueuer(this.#parts), this.#parts.scope) });
  }

  get events(): ActionContext['events'] {
    return (this.#recording ??= recorders(this.#parts)).events;
  }

  get jobs(): ActionContext['jobs'] {
    return (this.#recording ??= recorders(this.#parts)).jobs;
  }

  get webhooks(): ActionContext['webhooks'] {
    const parts = this.#parts;
    const { scope, registry, caller, keysRequired } = parts; // not spread: of a message they are getters of a class
    return (this.#webhooks ??= webhooksOf({
      scope,
      registry,
      caller,
      keysRequired,
      check: () => checkOpen(parts),
      enqueue: enqueuer(parts),
      onRecorded: (places) => parts.onRecorded?.(places),
    }));
  }

  get signal(): AbortSignal {
    return this.#parts.signal;
  }

  get log(): Log {
    return (this.#log ??= this.#parts.log);
  }
}

/** For jobs and listeners. Messages that they enqueue have the handled message as their parent. */
export function handlerContext(parts: ContextParts, message: ClaimedMessage): HandlerContext {
  return new MessageContext(parts, message);
}

class MessageContext extends Context implements HandlerContext {
  readonly message: HandlerContext['message'];

  constructor(parts: ContextParts, { id, attempt, maxAttempts, deliveryKey }: ClaimedMessage) {
    super(parts);
    this.message = { id, attempt, maxAttempts, deliveryKey };
  }
}

function checkOpen(parts: ContextParts): void {
  parts.signal.throwIfAborted();
  if (parts.isOpen?.() === false)
    throw new WaybillError(
      'context_closed',
      `${parts.caller} used its ctx after it had ended: a promise was not awaited`,
    );
}

function enqueuer(parts: ContextParts): Enqueue {
  const { scope, outbox, requestId, traceparent, parentId, keysRequired, caller } = parts;
  return async (messages) => {
    checkOpen(parts);
    const keyless = keysRequired ? messages.find((message) => message.deliveryKey === undefined) : undefined;
    if (keyless)
      throw new WaybillError(
        'delivery_key_required',
        `${caller} is safeToRetry, so whatever it enqueues needs a deliveryKey; the ${keyless.kind} ${keyless.name} has none`,
      );
    if (messages.length === 0) return [];
    const whole = messages.map((message) => {
      return { ...message, requestId, traceparent, parentId: message.parentId ?? parentId };
    });
    const enqueued = await tracedCreate(whole, (traced) => scope.run(() => outbox.enqueue(traced)));
    parts.onRecorded?.(whole.filter((message, i) => isNews(message, enqueued[i])).map(placeOf));
    return enqueued;
  };
}

/** Whether a NOTIFY may find it due. A message that waited before is found as it would have been. */
function isNews({ debounce }: NewMessage, enqueued: Enqueued | undefined): boolean {
  return debounce === undefined && enqueued?.replaced === undefined;
}

function recorders(parts: ContextParts): Pick<ActionContext, 'events' | 'jobs'> {
  const { scope, emits, registry, caller, outbox } = parts;
  const enqueue = enqueuer(parts);
  async function recordMany<S extends z.ZodType>(event: Event<S>, all: readonly WithPayload<S>[]) {
    if (emits !== null && !emits.includes(event))
      throw new WaybillError(
        'event_not_declared',
        `${caller} recorded the event ${event?.name}, which it does not declare: add it to its emits`,
      );
    if (registry && registry.event(event?.name) !== event) unknown('event', event?.name);
    return enqueue(await eventMessages(event, all));
  }
  async function dispatchMany<S extends z.ZodType>(job: JobTarget<S>, all: readonly WithPayload<S>[]) {
    if (registry && (registry.job(job?.name) as JobTarget | undefined) !== (job as JobTarget))
      unknown('job', job?.name);
    return enqueue(await jobMessages(job, all));
  }
  return {
    events: {
      recordMany: (event, all) => scope.hold(() => recordMany(event, all)),
      record: (event, payload, options) =>
        scope.hold(async () => (await recordMany(event, [withPayload(event, payload, options)]))[0]!),
    },
    jobs: {
      cancel: (id) =>
        scope.hold(async () => {
          checkOpen(parts);
          return scope.run(() => outbox.cancel(id));
        }),
      dispatchMany: (job, all) => scope.hold(() => dispatchMany(job, all)),
      dispatch: (job, payload, options) =>
        scope.hold(async () => (await dispatchMany(job, [withPayload(job, payload, options)]))[0]!),
    },
  };
}

function unknown(kind: string, name: string): never {
  throw new WaybillError(
    `unknown_${kind}`,
    `the application has no ${kind} ${name}: add it to ${kind}s in defineApp`,
  );
}
