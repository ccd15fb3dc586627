// The step *deliver*: one message → one Outcome, by kind. It uses the definitions and the provider, never the outbox's tables.

import { createDeadline } from '../action/deadline.ts';
import { manifestOf } from '../cron/manifest.ts';
import { endpointOf } from '../define/messages.ts';
import { defaultBackoff } from '../message/backoff.ts';
import type { ClaimedMessage, NewMessage } from '../message/message.ts';
import type { WaybillError } from '../errors.ts';
import type { Failure, Outcome } from '../message/outcome.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { isDropped, isSealed, unseal, type PayloadKeys, type Sealed } from '../message/seal.ts';
import { runAction } from './action.ts';
import type { Interrupt } from '../ports.ts';
import type { Deliver, Delivery } from './delivery.ts';
import { deliverEmail, type EmailPorts, type Mailing } from './email.ts';
import { runHandler, type HandlerPorts } from './handler.ts';
import { createWebhooks, deliverWebhook, type Webhooks } from './webhook.ts';
import { tracedProcess } from '../trace/message.ts';
import { currentTraceparent, isTraced } from '../trace/trace.ts';

export type DeliverOptions = HandlerPorts & {
  /** Null: emails are left for a process that has a provider. */
  readonly mailing: Mailing | null;
  /** Called with each answer of the email provider. */
  readonly onEmail: (provider: string, outcome: string) => void;
  /** Default: only public addresses. */
  readonly webhooks?: Webhooks | undefined;
  /** For sensitive messages. */
  readonly payloadKeys?: PayloadKeys | undefined;
};

const delivered = (then: readonly NewMessage[] = []): Outcome => ({ type: 'delivered', then });

/** A worker of an older deploy may claim messages of a newer one. It releases them, and the attempt does not count. */
const unknownDelay = 15_000;

export function createDeliver(options: DeliverOptions): Deliver {
  const { registry, mailing, emailFrom, onEmail, log, payloadKeys = [] } = options;
  const { backoff } = registry.app.email.retry;
  const webhooks = options.webhooks ?? createWebhooks();
  const manifest = manifestOf(registry.app).hash;
  return (message, signal) =>
    isTraced() ? tracedProcess(message, () => deliver(message, signal), failed) : deliver(message, signal);

  /** Not an async function: that saves one promise for each message. */
  function deliver(claimed: ClaimedMessage, signal: Interrupt): Promise<Delivery> {
    if (!isSealed(claimed.payload)) return deliverOpen(claimed, signal);
    const message = opened(claimed, claimed.payload, payloadKeys);
    return 'outcome' in message
      ? Promise.resolve(message)
      : deliverOpen(message, signal).then(withoutAddresses);
  }

  function deliverOpen(message: ClaimedMessage, signal: Interrupt): Promise<Delivery> {
    switch (message.kind) {
      case 'email':
        return mailing
          ? sendEmail(message, signal, { mailing, emailFrom, backoff, onEmail, log })
          : Promise.resolve(givenBack('this worker has no email provider'));
      case 'event':
        return Promise.resolve(fanOut(message, options));
      case 'listener': {
        const listener = registry.listener(message.name);
        if (!listener) return Promise.resolve(unknown(message));
        const schema = listener.event.payload;
        return runHandler({ ...listener, payload: schema, timeoutMs: null }, message, signal, options);
      }
      case 'job': {
        const endpoint = registry.endpoint(message.name);
        if (endpoint) return deliverWebhook(endpoint, message, signal, { ...options, webhooks });
        const job = registry.job(message.name);
        return job ? runHandler(job, message, signal, options) : Promise.resolve(unknown(message));
      }
      case 'action': {
        const action = registry.action(message.name);
        return runAction(action, message, signal, { ...options, manifest }, () => unknown(message));
      }
      default:
        return Promise.resolve(noKind(message.kind));
    }
  }
}

/** A missing key is no fault of the message: its queue is parked until an operator adds the key. */
function opened(message: ClaimedMessage, sealed: Sealed, keys: PayloadKeys): ClaimedMessage | Delivery {
  try {
    const keep = !isDropped(sealed);
    return { ...message, payload: unseal(sealed, message, keys), opened: { keep } };
  } catch (error) {
    const { code, message: text } = error as WaybillError;
    const type = code === 'payload_key_missing' ? 'operator' : 'permanent';
    const failure: Failure = {
      type,
      message: `${code}: ${text}`,
      ...(type === 'operator' && { maybeOwn: true }),
    };
    return { outcome: { type: 'failure', failure }, backoff: defaultBackoff };
  }
}

/** The timeline of a sensitive email does not name its recipients. */
function withoutAddresses(delivery: Delivery): Delivery {
  const { outcome } = delivery;
  if (outcome.type !== 'delivered' || !outcome.notes?.length) return delivery;
  const notes = outcome.notes.map((note) => ({
    ...note,
    recipient: note.recipient && maskAddresses(note.recipient),
    detail: note.detail && maskAddresses(note.detail),
  }));
  return { ...delivery, outcome: { ...outcome, notes } };
}

/** The type of the failure, for the span. */
function failed({ outcome }: Delivery): string | undefined {
  return outcome.type === 'failure' ? outcome.failure.type : undefined;
}

function unknown({ kind, name }: ClaimedMessage): Delivery {
  const endpoint = endpointOf(name);
  const what =
    kind === 'job' && endpoint !== undefined ? `endpoint called ${endpoint}` : `${kind} called ${name}`;
  return givenBack(`this worker knows no ${what}: an older deploy, or one that is not registered`);
}

/** Such a row was written by hand, past the table's trigger. */
function noKind(kind: never): Delivery {
  const message = `unknown_kind: ${JSON.stringify(kind).slice(0, 80)} is no kind of message`;
  return {
    outcome: { type: 'failure', failure: { type: 'permanent', message } },
    backoff: defaultBackoff,
  };
}

function givenBack(reason: string): Delivery {
  return { outcome: { type: 'released', reason, delay: unknownDelay }, backoff: defaultBackoff };
}

/** Makes one message for each listener, recorded in the statement that settles the event. */
function fanOut(message: ClaimedMessage, { registry, log }: DeliverOptions): Delivery {
  if (!registry.event(message.name)) return unknown(message);
  const { payload, group, orderKey, tags, requestId, traceparent } = message;
  const then = registry.listenersOf(message.name).map((listener): NewMessage => ({
    kind: 'listener',
    name: listener.name,
    queue: listener.queue,
    payload,
    maxAttempts: listener.retry.maxAttempts,
    group: group ?? undefined,
    orderKey: orderKey ?? undefined,
    onDead: listener.onDead,
    ...(listener.sensitive && { sensitive: true, keep: listener.keep }),
    tags: tags ?? undefined,
    requestId: requestId ?? undefined,
    traceparent: currentTraceparent() ?? traceparent ?? undefined,
  }));
  if (then.length === 0)
    log.info(
      { message: message.id, name: message.name },
      'nobody listens to this event: it is delivered to nobody',
    );
  return { outcome: delivered(then), backoff: defaultBackoff };
}

/** Gives the provider an AbortSignal for the end of the delivery. */
async function sendEmail(message: ClaimedMessage, outer: Interrupt, ports: EmailPorts): Promise<Delivery> {
  const deadline = createDeadline([outer]);
  try {
    return await deliverEmail(message, deadline.signal, ports);
  } finally {
    deadline.stop();
  }
}
