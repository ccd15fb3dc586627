// The body of a SendGrid request (twilio.com/docs/sendgrid/api-reference/mail-send/mail-send).

import type { Address } from '../../address/mailbox.ts';
import { addressedOf, addressees, type Addressed, type Addressees } from '../addressees.ts';
import { contentOf, filesOf, type Attachment } from '../attachment.ts';
import { headerFields, type EmailPayload } from '../email.ts';
import type { Handover } from '../provider.ts';

/** The custom argument with the message's id; SendGrid's reports contain it. */
export const messageArgument = 'waybill_message';

/** SendGrid's limit for recipients of one request. */
const maxRecipients = 1_000;

export type SendgridBody = Addressed & { readonly json: string };

export function sendgridBody(email: EmailPayload, about: Omit<Handover, 'signal'>): SendgridBody {
  const fields = distinct(addressees(email, about.recipients, { all: maxRecipients }));
  const { to, cc, bcc } = fields;
  const { from, replyTo = [], subject, html, text } = email;
  const files = filesOf(email);
  const json = JSON.stringify({
    personalizations: [
      {
        to: to.map(recipient),
        ...(cc.length > 0 && { cc: cc.map(recipient) }),
        ...(bcc.length > 0 && { bcc: bcc.map(recipient) }),
      },
    ],
    from: mailbox(from),
    ...(replyTo.length > 0 && { reply_to_list: replyTo.map(mailbox) }),
    subject,
    content: [
      ...(text === undefined ? [] : [{ type: 'text/plain', value: text }]), // must come first
      ...(html === undefined ? [] : [{ type: 'text/html', value: html }]),
    ],
    headers: { ...headerFields(email), 'Message-ID': about.messageId },
    ...(files.length > 0 && { attachments: files.map(attached) }),
    custom_args: { [messageArgument]: about.idempotencyKey },
  });
  return { json, ...addressedOf(fields) };
}

const mailbox = ({ name, address }: Address) => ({ email: address, ...(name !== undefined && { name }) });

/**
 * SendGrid reads the name of a recipient as syntax: after a comma it takes another address, and drops the email without an error
 * (github.com/sendgrid/docs/issues/2452; sendgrid-ruby/issues/394 has the characters). A sender's quotes would be shown (sendgrid-nodejs/issues/1183).
 */
function recipient({ name, address }: Address): ReturnType<typeof mailbox> {
  const isSyntax = name !== undefined && /[(),:;<>@[\]"\\]/.test(name);
  return mailbox({ address, ...(name !== undefined && { name: isSyntax ? quoted(name) : name }) });
}

const quoted = (name: string): string => `"${name.replaceAll(/["\\]/g, '\\$&')}"`;

/** SendGrid refuses a request in which two addresses differ in case alone, so the second gets an email of its own. */
function distinct({ later, ...fields }: Addressees): Addressees {
  const seen = new Set<string>();
  const twice: Address[] = [];
  const once = (list: readonly Address[]) =>
    list.filter((one) => {
      const key = one.address.toLowerCase();
      if (seen.has(key)) twice.push(one);
      return !seen.has(key) && seen.add(key);
    });
  return { to: once(fields.to), cc: once(fields.cc), bcc: once(fields.bcc), later: [...twice, ...later] };
}

/** A type with parameters is refused. */
function attached(file: Attachment): object {
  const { filename, contentType, cid } = file;
  return {
    filename,
    content: contentOf(file).toString('base64'),
    ...(contentType !== undefined && { type: contentType.split(';', 1)[0]!.trim() }),
    disposition: cid === undefined ? 'attachment' : 'inline',
    ...(cid !== undefined && { content_id: cid }),
  };
}
