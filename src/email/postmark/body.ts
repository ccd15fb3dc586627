// The body of a Postmark request (postmarkapp.com/developer/api/email-api#send-a-single-email).

import { writeMailbox, type Address } from '../../address/mailbox.ts';
import { addressedOf, addressees, type Addressed } from '../addressees.ts';
import { contentOf, filesOf, type Attachment } from '../attachment.ts';
import { headerFields, type EmailPayload } from '../email.ts';
import type { Handover } from '../provider.ts';

/** The metadata field with the message's id; Postmark's reports contain it. */
export const messageField = 'waybill_message';

/** Postmark's limit for recipients of one email, in all fields together. */
const maxRecipients = 50;

/** Postmark's message streams by what kind of mailing an email belongs to. */
export type Streams = { readonly transactional: string; readonly broadcast: string };

export type PostmarkBody = Addressed & { readonly json: string };

export function postmarkBody(
  email: EmailPayload,
  about: Omit<Handover, 'signal'>,
  streams: Streams,
): PostmarkBody {
  const fields = addressees(email, about.recipients, { all: maxRecipients });
  const { to, cc, bcc } = fields;
  const { from, replyTo = [], subject, html, text, stream = 'transactional' } = email;
  const files = filesOf(email);
  // Postmark writes a Message-ID of its own unless it is told to keep the one given.
  const headers = { ...headerFields(email), 'Message-ID': about.messageId, 'X-PM-KeepID': 'true' };
  const listed = (list: readonly Address[]) => list.map(writeMailbox).join(', ');
  const json = JSON.stringify({
    From: writeMailbox(from),
    To: listed(to),
    ...(cc.length > 0 && { Cc: listed(cc) }),
    ...(bcc.length > 0 && { Bcc: listed(bcc) }),
    ...(replyTo.length > 0 && { ReplyTo: listed(replyTo) }),
    Subject: subject,
    HtmlBody: html,
    TextBody: text,
    Headers: Object.entries(headers).map(([Name, Value]) => ({ Name, Value })),
    ...(files.length > 0 && { Attachments: files.map(attached) }),
    Metadata: { [messageField]: about.idempotencyKey },
    MessageStream: streams[stream],
  });
  return { json, ...addressedOf(fields) };
}

/** The content type is required. */
function attached(file: Attachment): object {
  const { filename, contentType = 'application/octet-stream', cid } = file;
  return {
    Name: filename,
    Content: contentOf(file).toString('base64'),
    ContentType: contentType,
    ...(cid !== undefined && { ContentID: `cid:${cid}` }),
  };
}
