// The body of a Resend request (resend.com/docs/api-reference/emails/send-email).
// The same email and handover give the same bytes, because Resend compares them with the first request under the same key.

import { writeMailbox } from '../../address/mailbox.ts';
import { addressedOf, addressees, type Addressed } from '../addressees.ts';
import { contentOf, filesOf, type Attachment } from '../attachment.ts';
import { headerFields, type EmailPayload } from '../email.ts';
import type { Handover } from '../provider.ts';

/** The tag with the message's id; Resend's reports contain it. */
export const messageTag = 'waybill_message';

/** Resend's limit for addresses in `to`. */
const maxTo = 50;

export type ResendBody = Addressed & { readonly json: string };

export function resendBody(email: EmailPayload, about: Omit<Handover, 'signal'>): ResendBody {
  const fields = addressees(email, about.recipients, { to: maxTo });
  const { to, cc, bcc } = fields;
  const { from, replyTo = [], subject, html, text } = email;
  const files = filesOf(email);
  const json = JSON.stringify({
    from: writeMailbox(from),
    to: to.map(writeMailbox),
    ...(cc.length > 0 && { cc: cc.map(writeMailbox) }),
    ...(bcc.length > 0 && { bcc: bcc.map(writeMailbox) }),
    ...(replyTo.length > 0 && { reply_to: replyTo.map(writeMailbox) }),
    subject,
    html,
    text,
    headers: { ...headerFields(email), 'Message-ID': about.messageId },
    ...(files.length > 0 && { attachments: files.map(attached) }),
    tags: [{ name: messageTag, value: about.idempotencyKey }],
  });
  return { json, ...addressedOf(fields) };
}

function attached(file: Attachment): object {
  const { filename, contentType, cid } = file;
  return {
    filename,
    content: contentOf(file).toString('base64'),
    ...(contentType !== undefined && { content_type: contentType }),
    ...(cid !== undefined && { content_id: cid }),
  };
}
