// ctx.email.enqueue checks and records one email or many.

import type { Scope } from '../db/scope.ts';
import type { ActionContext, EmailMessage } from '../define/context.ts';
import { emailMessage, type EmailDefaults } from '../define/messages.ts';
import type { Enqueued, NewMessage } from '../message/message.ts';

export type Enqueue = (messages: readonly NewMessage[]) => Promise<Enqueued[]>;

export function emailEnqueuer(
  defaults: EmailDefaults,
  enqueue: Enqueue,
  scope: Pick<Scope, 'hold'>,
): ActionContext['email']['enqueue'] {
  async function many(emails: readonly EmailMessage[]): Promise<Enqueued[]> {
    return enqueue(emails.map((email) => emailMessage(email, defaults)));
  }
  function one(given: EmailMessage): Promise<Enqueued>;
  function one(given: readonly EmailMessage[]): Promise<Enqueued[]>;
  function one(given: EmailMessage | readonly EmailMessage[]): Promise<Enqueued | Enqueued[]> {
    if (Array.isArray(given)) return scope.hold(() => many(given as readonly EmailMessage[]));
    return scope.hold(async () => (await many([given as EmailMessage]))[0]!);
  }
  return one;
}
