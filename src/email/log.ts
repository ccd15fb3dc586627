// The provider `log` prints emails instead of sending them: in development the whole message.
// In production, where it is nearly always a mistake, it logs one line without content.

import { writeMailbox, type Address } from '../address/mailbox.ts';
import { headerFields, type EmailPayload } from './email.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { maskAddresses } from '../redaction/addresses.ts';
import { visibleText } from '../redaction/visible.ts';

export type LogProviderOptions = {
  readonly production: boolean;
  readonly log: ProviderLog;
  /** Prints the readable form, which has many lines. Default: stdout. */
  readonly print?: (text: string) => unknown;
};

export function createLogProvider({
  production,
  log,
  print = (text) => process.stdout.write(text),
}: LogProviderOptions): EmailProvider {
  if (production)
    log.warn(
      { provider: 'log' },
      'emails are only logged, none is sent: set WAYBILL_EMAIL_PROVIDER=smtp and SMTP_URL',
    );
  return {
    name: 'log',
    idempotent: false,
    async send(email, { messageId, recipients: accepted }) {
      const facts = { messageId, recipients: accepted.map(maskAddresses) };
      if (production) log.info(facts, 'email accepted by the provider log');
      else print(readable(email, messageId));
      return { accepted, rejected: [], response: 'logged' };
    },
  };
}

function readable(email: EmailPayload, messageId: string): string {
  const fields: [string, string | undefined][] = [
    ['From', shown([email.from])],
    ['To', shown(email.to)],
    ['Cc', email.cc && shown(email.cc)],
    ['Bcc', email.bcc && shown(email.bcc)],
    ['Reply-To', email.replyTo && shown(email.replyTo)],
    ['Subject', email.subject],
    ['Message-ID', messageId],
    ...Object.entries(headerFields(email)),
    ...(email.attachments ?? []).map(({ filename, content }): [string, string] => [
      'Attachment',
      `${filename} (${content.length} characters)`,
    ]),
    ['Calendar', email.calendar && `${email.calendar.method} (${email.calendar.content.length} characters)`],
  ];
  const head = fields.flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  const bodies = [email.text, email.html].filter((body) => body !== undefined);
  const text = [...head, ...bodies.flatMap((body) => ['', body])].join('\n');
  return `${['', '── email ──', ...text.split(/\r\n|\r|\n/).map(visibleText)].join('\n│ ')}\n\n`;
}

function shown(list: readonly Address[]): string {
  return list.map(writeMailbox).join(', ');
}
