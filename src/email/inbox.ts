// The provider `inbox`: no mail leaves; each is stored, to be read at /inbox, and is gone with its message. A key that is known already
// stores nothing again (invariant D).

import type { Executor } from '../db/executor.ts';
import type { EmailPayload } from './email.ts';
import { EmailError } from './error.ts';
import { mailOf } from './mime.ts';
import type { EmailProvider, Handover, ProviderLog } from './provider.ts';

export type InboxOptions = {
  readonly db: Executor;
  readonly production: boolean;
  readonly log: ProviderLog;
};

/** Sender and recipients are those of the envelope: blind copies are among them. */
export const storeEmailSql = `
  insert into waybill.inbox_emails (message_id, sender, recipients, subject, html, text, source)
  values ($1, $2, $3, $4, $5, $6, $7) on conflict (message_id) do nothing`;

/** `idempotencyKey` of each handover is the id of a message that is recorded. */
export function createInboxProvider({ db, production, log }: InboxOptions): EmailProvider {
  if (production)
    log.warn(
      { provider: 'inbox' },
      'emails are only stored in the inbox, none is sent: set WAYBILL_EMAIL_PROVIDER=smtp and SMTP_URL',
    );
  return {
    name: 'inbox',
    idempotent: true,
    async send(email, about) {
      const source = await sourceOf(email, about);
      const { from, subject, html = null, text = null } = email;
      const { idempotencyKey: id, recipients: accepted } = about;
      const values = [id, from.address, accepted, subject, html, text, source];
      await db.executeSql(storeEmailSql, values).catch((error: Error) => {
        throw new EmailError(error.message, { provider: 'inbox', phase: 'connect' }, { cause: error });
      });
      return { accepted, rejected: [], response: 'stored in the inbox' };
    },
  };
}

/** RFC 5322, with the bytes that the provider `smtp` would send. */
async function sourceOf(email: EmailPayload, about: Handover): Promise<Buffer> {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  const { message } = await transport.sendMail(mailOf(email, about));
  return message as Buffer; // because of `buffer`
}
