// Makes messages for the outbox from definitions and payloads, for actions, handlers and the functions of recorder.ts.

import type { z } from 'zod';
import { prepareEmail } from '../email/email.ts';
import { WaybillError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { duplicateOptions } from '../message/duplicate.ts';
import type { NewMessage } from '../message/message.ts';
import { endpointGroup as groupOf, keyWithin, type WebhookPayload } from '../message/webhook.ts';
import type {
  EmailMessage,
  EndpointTarget,
  EnqueueOptions,
  JobTarget,
  WebhookOptions,
  WebhookTo,
  WithPayload,
} from './context.ts';
import { eventQueue, type Event } from './event.ts';
import { encodePayload } from './payload.ts';

/** @throws WaybillError `payload_invalid` with the path of what is wrong */
export async function eventMessages<S extends z.ZodType>(
  event: Event<S>,
  all: readonly WithPayload<S>[],
): Promise<NewMessage[]> {
  checkTarget('event', event);
  return messagesOf(event, { queue: eventQueue }, all);
}

/** @throws WaybillError `payload_invalid` with the path of what is wrong */
export async function jobMessages<S extends z.ZodType>(
  job: JobTarget<S>,
  all: readonly WithPayload<S>[],
): Promise<NewMessage[]> {
  checkTarget('job', job);
  return messagesOf(job, { queue: job.queue, maxAttempts: job.retry.maxAttempts, onDead: job.onDead }, all);
}

/** The queue of webhooks. */
export const webhookQueue = 'webhooks';

/** The name of an endpoint's messages, which are jobs. */
export const webhookName = (endpoint: string): string => `webhook:${endpoint}`;

/** The endpoint of such a name; undefined for another one. */
export const endpointOf = (name: string): string | undefined => /^webhook:([^:]+)$/.exec(name)?.[1];

/** One endpoint as a group of its queue. */
export type EndpointGroup = {
  readonly endpoint: EndpointTarget;
  readonly id: string | null;
  readonly group: string;
};

/** @throws WaybillError `endpoint_invalid` */
export function endpointGroup(to: unknown): EndpointGroup {
  const given = (to ?? {}) as Partial<EndpointTarget> & {
    readonly endpoint?: EndpointTarget;
    readonly id?: unknown;
  };
  const endpoint = given.kind === 'endpoint' ? (given as EndpointTarget) : given.endpoint;
  if (endpoint?.kind !== 'endpoint')
    throw new WaybillError(
      'endpoint_invalid',
      'a webhook goes to an endpoint that is made by defineEndpoint',
    );
  const { name, isMany } = endpoint;
  const id = typeof given.id === 'string' && given.kind !== 'endpoint' ? given.id : null;
  if (isMany && id === null)
    throw new WaybillError(
      'endpoint_invalid',
      `endpoint ${name} stands for many: name one with ${name}.to(id)`,
    );
  return { endpoint, id, group: groupOf(name, id) };
}

/** @throws WaybillError `payload_invalid` with the path of what is wrong, `endpoint_invalid` */
export async function webhookMessages<S extends z.ZodType>(
  to: WebhookTo<S>,
  all: readonly (WebhookOptions & { readonly payload: z.output<S> })[],
): Promise<NewMessage[]> {
  const { endpoint, id, group } = endpointGroup(to);
  const target = { kind: 'job', name: webhookName(endpoint.name), payload: endpoint.payload } as const;
  const { sensitive, keep } = endpoint;
  const where = { queue: webhookQueue, maxAttempts: endpoint.retry.maxAttempts, onDead: 'skip' } as const;
  if (Array.isArray(all))
    for (const one of all) checkOptions(`endpoint ${endpoint.name}`, one, ['payload', ...webhookOptions]);
  const messages = await messagesOf({ ...target, sensitive, keep }, where, all as readonly WithPayload<S>[]);
  return messages.map((message) => ({
    ...message,
    ...keysWithin(id, message),
    payload: { to: id, body: bodyOf(endpoint, message) } satisfies WebhookPayload,
    group,
  }));
}

/** A body that JSON leaves out could be recorded, and never delivered. @throws WaybillError `payload_invalid` */
function bodyOf({ name }: EndpointTarget, { payload }: NewMessage): unknown {
  if (payload !== undefined && typeof payload !== 'function' && typeof payload !== 'symbol') return payload;
  throw new WaybillError('payload_invalid', `the payload of the endpoint ${name} is nothing that JSON has`);
}

/**
 * Keys count within an endpoint: all endpoints of a definition have one name, and the key of an event is used for each of its receivers. An endpoint
 * that fails for days holds up its own order keys alone.
 * @throws WaybillError `delivery_key_invalid`, `order_key_invalid`
 */
function keysWithin(id: string | null, { deliveryKey, orderKey }: NewMessage) {
  const within = (name: 'deliveryKey' | 'orderKey', key: unknown, code: string, most: number) => {
    if (key === undefined || id === null) return {};
    const whole = keyWithin(id, key as string);
    if (typeof key === 'string' && key !== '' && whole.length <= most) return { [name]: whole };
    throw new WaybillError(
      code,
      `the ${name} of a webhook has, behind the id of its endpoint and '/', at most ${most} characters`,
    );
  };
  return {
    ...within('deliveryKey', deliveryKey, 'delivery_key_invalid', 255),
    ...within('orderKey', orderKey, 'order_key_invalid', 200),
  };
}

/** @throws WaybillError `options_invalid` when the target is not made by its define function */
function checkTarget(kind: 'event' | 'job', target: unknown): void {
  if ((target as { readonly kind?: unknown } | null | undefined)?.kind === kind) return;
  const made = kind === 'job' ? 'defineJob' : 'defineEvent';
  throw new WaybillError('options_invalid', `the ${kind} to be recorded must be made by ${made}`);
}

export type EmailDefaults = {
  /** The sender of emails without `from`; null: such emails are refused. */
  readonly from: string | null;
  readonly maxAttempts?: number | undefined;
};

export const emailQueue = 'email';

export const enqueueOptions = [
  'deliveryKey',
  'availableAt',
  'priority',
  'group',
  'orderKey',
  'tags',
  ...duplicateOptions,
];

/** The group of a webhook is its endpoint. */
export const webhookOptions = enqueueOptions.filter((option) => option !== 'group');

/** @throws WaybillError `options_invalid` */
export function withPayload<P>(
  target: { readonly kind: string; readonly name: string },
  payload: P,
  options: EnqueueOptions = {},
): EnqueueOptions & { readonly payload: P } {
  checkOptions(`${target?.kind} ${target?.name}`, options, enqueueOptions);
  return { ...options, payload };
}

/** @throws WaybillError whose code says what is wrong with the email, see docs/errors.md */
export function emailMessage(given: EmailMessage, { from, maxAttempts }: EmailDefaults): NewMessage {
  if (typeof given !== 'object' || given === null) prepareEmail(given, { defaultFrom: from }); // throws
  const { deliveryKey, availableAt, priority, group, orderKey, tags, sensitive, keep, ...other } = given;
  const { onDuplicate, debounce, maxWait, ...rest } = other;
  const email = Object.fromEntries(
    Object.entries(rest).filter(([, value]) => value !== undefined),
  ) as typeof rest;
  const payload = prepareEmail(email, { defaultFrom: from });
  return {
    kind: 'email',
    name: 'email',
    queue: emailQueue,
    // Every attempt has the same date, although availableAt changes with each retry.
    payload: isTime(availableAt) ? { ...payload, date: availableAt.toISOString() } : payload,
    maxAttempts,
    deliveryKey,
    availableAt,
    priority,
    group,
    orderKey,
    tags,
    onDuplicate,
    debounce,
    maxWait,
    sensitive,
    keep,
  };
}

/** checkMessage refuses any other value later. */
function isTime(given: unknown): given is Date {
  return given instanceof Date && !Number.isNaN(given.getTime());
}

async function messagesOf<S extends z.ZodType>(
  target: Pick<Event<S>, 'name' | 'payload' | 'sensitive' | 'keep'> & { readonly kind: 'event' | 'job' },
  where: Pick<NewMessage, 'queue' | 'maxAttempts' | 'onDead'>,
  all: readonly WithPayload<S>[],
): Promise<NewMessage[]> {
  const { kind, name, sensitive, keep } = target;
  const sealing = sensitive ? { sensitive, keep } : {};
  if (!Array.isArray(all))
    throw new WaybillError('options_invalid', `${kind} ${name}: expected a list of { payload, … }`);
  for (const one of all) checkOptions(`${kind} ${name}`, one, ['payload', ...enqueueOptions]);
  const messages: NewMessage[] = [];
  for (const { payload: given, ...options } of all) {
    const payload = await encodePayload(target, given);
    messages.push({ ...options, ...where, ...sealing, kind, name, payload });
  }
  return messages;
}
