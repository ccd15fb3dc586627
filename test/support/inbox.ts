// Mails in the inbox of a test database: recorded, handed to the provider `inbox`, without relay and workers.

import type { Executor } from '../../src/db/executor.ts';
import { prepareEmail, type EmailInput, type EmailPayload } from '../../src/email/email.ts';
import { createInboxProvider } from '../../src/email/inbox.ts';
import type { Handover } from '../../src/email/provider.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';

export type Recorded = { readonly id: string; readonly email: EmailPayload; readonly handover: Handover };

/** A message that waits, and what its worker would hand over. */
export async function recordEmail(db: Executor, input: Partial<EmailInput> = {}): Promise<Recorded> {
  const whole = { from: 'Shop <shop@shop.test>', to: 'ann@b.test', subject: 'Hello', text: 'Hi', ...input };
  const email = prepareEmail(whole, { defaultFrom: null });
  const outbox = createPostgresOutbox(db, { maxPayloadBytes: 10_485_760 });
  // Not due: a fleet on the same database would store it once more, when the inbox has been emptied perhaps.
  const availableAt = new Date(Date.now() + 86_400_000);
  const message = { kind: 'email' as const, name: 'email', queue: 'email', payload: email, availableAt };
  const { id } = await outbox.enqueue(message);
  const handover: Handover = {
    messageId: `<${id}@shop.test>`,
    idempotencyKey: id,
    date: new Date('2026-01-01T00:00:00Z'),
    recipients: [...email.to, ...(email.cc ?? []), ...(email.bcc ?? [])].map(({ address }) => address),
    signal: new AbortController().signal,
  };
  return { id, email, handover };
}

export async function storeEmail(db: Executor, input: Partial<EmailInput> = {}): Promise<string> {
  const { id, email, handover } = await recordEmail(db, input);
  const log = { info: () => undefined, warn: () => undefined };
  await createInboxProvider({ db, production: false, log }).send(email, handover);
  return id;
}
