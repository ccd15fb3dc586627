// Definitions and payloads → messages that an outbox can record. The same for actions, handlers and applications without either.

import type { z } from 'zod';
import { prepareEmail } from '../email/email.ts';
import type { NewMessage } from '../outbox/message.ts';
import type { EmailMessage, EnqueueOptions, JobTarget, WithPayload } from './context.ts';
import { eventQueue, type Event } from './event.ts';
import { encodePayload } from './payload.ts';

/** @throws WaybillError `payload_invalid` with the path of what is wrong */
export async function eventMessages<S extends z.ZodType>(
  event: Event<S>,
  all: readonly WithPayload<S>[],
): Promise<NewMessage[]> {
  return messagesOf(event, { queue: eventQueue }, all);
}

/** @throws WaybillError `payload_invalid` with the path of what is wrong */
export async function jobMessages<S extends z.ZodType>(
  job: JobTarget<S>,
  all: readonly WithPayload<S>[],
): Promise<NewMessage[]> {
  return messagesOf(job, { queue: job.queue, maxAttempts: job.retry.maxAttempts }, all);
}

export type EmailDefaults = {
  /** The sender of emails without one; null: those are refused. */
  readonly from: string | null;
  readonly maxAttempts?: number | undefined;
};

/** The queue of emails. */
export const emailQueue = 'email';

/** @throws WaybillError with what is wrong with the email, see docs/errors.md */
export function emailMessage(
  { deliveryKey, availableAt, priority, ...email }: EmailMessage,
  { from, maxAttempts }: EmailDefaults,
): NewMessage {
  const payload = prepareEmail(email, { defaultFrom: from });
  return {
    kind: 'email',
    name: 'email',
    queue: emailQueue,
    payload,
    maxAttempts,
    deliveryKey,
    availableAt,
    priority,
  };
}

type Target<S extends z.ZodType> = {
  readonly kind: 'event' | 'job';
  readonly name: string;
  readonly payload: S;
};

async function messagesOf<S extends z.ZodType>(
  target: Target<S>,
  how: Pick<NewMessage, 'queue' | 'maxAttempts'>,
  all: readonly (EnqueueOptions & { readonly payload: z.output<S> })[],
): Promise<NewMessage[]> {
  const { kind, name } = target;
  const { queue, maxAttempts } = how;
  const messages: NewMessage[] = [];
  for (const { payload: given, deliveryKey, availableAt, priority } of all) {
    const payload = await encodePayload(target, given);
    messages.push({ kind, name, queue, payload, maxAttempts, deliveryKey, availableAt, priority });
  }
  return messages;
}
