// Typed functions that record messages outside of actions, for applications with their own framework and query builder.
// Pass them the outbox of the transaction that writes the business rows (invariant A).

import type { z } from 'zod';
import type { Enqueued, NewMessage } from '../message/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type {
  ActionContext,
  EmailMessage,
  EnqueueOptions,
  JobTarget,
  WebhookOptions,
  WebhookTo,
} from './context.ts';
import {
  emailMessage,
  enqueueOptions,
  eventMessages,
  jobMessages,
  webhookMessages,
  webhookOptions,
  withPayload,
} from './messages.ts';
import { checkOptions } from './shape.ts';
import { tracedCreate } from '../trace/message.ts';

/** The part of an outbox that recording needs. */
export type Recording = Pick<OutboxPort, 'enqueue' | 'cancel'>;

/** Where a message comes from. The admin API and the delivery logs show both values. */
export type Origin = {
  /** At most 200 characters. */
  readonly requestId?: string | undefined;
  /** W3C Trace Context, `00-…`. */
  readonly traceparent?: string | undefined;
};

/**
 * Creates functions that record events.
 * @throws WaybillError `definition_invalid`; the functions throw `payload_invalid` when a payload does not match the event's schema
 */
export function createOutboxEventRecorder(outbox: Recording, origin: Origin = {}): ActionContext['events'] {
  checkOptions('createOutboxEventRecorder', origin, ['requestId', 'traceparent']);
  const recordMany: ActionContext['events']['recordMany'] = async (event, all) =>
    enqueue(outbox, await eventMessages(event, all), origin);
  return {
    recordMany,
    record: async (event, payload, options) =>
      (await recordMany(event, [withPayload(event, payload, options)]))[0]!,
  };
}

/**
 * Creates functions that dispatch and cancel jobs.
 * @throws WaybillError `definition_invalid`; the functions throw `payload_invalid` when a payload does not match the job's schema
 */
export function createOutboxJobDispatcher(outbox: Recording, origin: Origin = {}): ActionContext['jobs'] {
  checkOptions('createOutboxJobDispatcher', origin, ['requestId', 'traceparent']);
  const dispatchMany: ActionContext['jobs']['dispatchMany'] = async (job, all) =>
    enqueue(outbox, await jobMessages(job, all), origin);
  return {
    dispatchMany,
    cancel: (id) => outbox.cancel(id),
    dispatch: async (job, payload, options) =>
      (await dispatchMany(job, [withPayload(job, payload, options)]))[0]!,
  };
}

/**
 * Records one job.
 * @throws WaybillError `payload_invalid` when the payload does not match the job's schema
 */
export async function enqueueJob<S extends z.ZodType>(
  outbox: Recording,
  job: JobTarget<S>,
  payload: z.output<S>,
  options: EnqueueOptions & Origin = {},
): Promise<Enqueued> {
  checkOptions(`enqueueJob ${job?.name}`, options, [...enqueueOptions, 'requestId', 'traceparent']);
  const { requestId, traceparent, ...how } = options;
  const messages = await jobMessages(job, [{ ...how, payload }]);
  return (await enqueue(outbox, messages, { requestId, traceparent }))[0]!;
}

/**
 * Records one webhook.
 * @throws WaybillError `payload_invalid` when the payload does not match the endpoint's schema, `endpoint_invalid`
 */
export async function enqueueWebhook<S extends z.ZodType>(
  outbox: Recording,
  to: WebhookTo<S>,
  payload: z.output<S>,
  options: WebhookOptions & Origin = {},
): Promise<Enqueued> {
  checkOptions('enqueueWebhook', options, [...webhookOptions, 'requestId', 'traceparent']);
  const { requestId, traceparent, ...how } = options;
  const messages = await webhookMessages(to, [{ ...how, payload }]);
  return (await enqueue(outbox, messages, { requestId, traceparent }))[0]!;
}

/**
 * Checks and records one email.
 * @param options.from the sender of an email without `from`
 * @throws WaybillError whose code says what is wrong with the email, see docs/errors.md
 */
export async function enqueueEmail(
  outbox: Recording,
  email: EmailMessage,
  options: Origin & { readonly from?: string | undefined } = {},
): Promise<Enqueued> {
  checkOptions('enqueueEmail', options, ['from', 'requestId', 'traceparent']);
  const { from, ...origin } = options;
  return (await enqueue(outbox, [emailMessage(email, { from: from ?? null })], origin))[0]!;
}

async function enqueue(
  outbox: Recording,
  messages: readonly NewMessage[],
  { requestId, traceparent }: Origin,
): Promise<Enqueued[]> {
  return tracedCreate(
    messages.map((message) => ({ ...message, requestId, traceparent })),
    (traced) => outbox.enqueue(traced),
  );
}
