// The provider `inbox` stores each mail for /inbox and sends none. A mail is deleted with its message.
// A repeated key stores nothing again (invariant D).

import type { Executor } from '../db/executor.ts';
import { EmailError } from './error.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { sourceOf } from './source.ts';

export type InboxOptions = {
  readonly db: Executor;
  readonly production: boolean;
  readonly log: ProviderLog;
};

/** Sender and recipients of the envelope, which include bcc. */
export const storeEmailSql = `
  insert into waybill.inbox_emails (message_id, sender, recipients, subject, html, text, source)
  values ($1, $2, $3, $4, $5, $6, $7) on conflict (message_id) do nothing`;

/** The `idempotencyKey` of each handover must be the id of a recorded message. */
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
