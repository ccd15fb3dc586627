// ctx.email.enqueue: one email or many, checked and rendered now.

import type { ActionContext, EmailMessage } from '../define/context.ts';
import { emailMessage, type EmailDefaults } from '../define/messages.ts';
import type { Enqueued, NewMessage } from '../outbox/message.ts';

export type Enqueue = (messages: readonly NewMessage[]) => Promise<Enqueued[]>;

export function emailEnqueuer(defaults: EmailDefaults, enqueue: Enqueue): ActionContext['email']['enqueue'] {
  async function many(emails: readonly EmailMessage[]): Promise<Enqueued[]> {
    return enqueue(emails.map((email) => emailMessage(email, defaults)));
  }
  async function one(given: EmailMessage): Promise<Enqueued>;
  async function one(given: readonly EmailMessage[]): Promise<Enqueued[]>;
  async function one(given: EmailMessage | readonly EmailMessage[]): Promise<Enqueued | Enqueued[]> {
    if (Array.isArray(given)) return many(given as readonly EmailMessage[]);
    return (await many([given as EmailMessage]))[0]!;
  }
  return one;
}
