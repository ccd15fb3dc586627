// What a provider gets beside the email. It is the same on every attempt for the same recipients.

import type { EmailPayload, FollowUp } from '../email/email.ts';
import type { Handover } from '../email/provider.ts';

type Read = { readonly email: EmailPayload; readonly only?: FollowUp };

/** A follow-up has the Message-ID of the original email, and its own key. */
export function handoverOf(
  { id, createdAt }: { readonly id: string; readonly createdAt: Date },
  { email, only }: Read,
  recipients: readonly string[],
): Omit<Handover, 'signal'> {
  const domain = email.from.address.split('@').at(-1);
  return {
    messageId: `<${only?.of ?? id}@${domain}>`,
    idempotencyKey: id,
    date: dateOf(createdAt, email.date),
    recipients,
  };
}

/** When the message was recorded, or became available, if that was later. */
function dateOf(createdAt: Date, availableAt: string | undefined): Date {
  const due = availableAt === undefined ? createdAt : new Date(availableAt);
  return due > createdAt ? due : createdAt;
}
