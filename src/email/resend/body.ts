// The body of a Resend request (resend.com/docs/api-reference/emails/send-email).
// The same email and handover give the same bytes, because Resend compares them with the first request under the same key.

import { writeMailbox, type Address } from '../../address/mailbox.ts';
import { headerFields, type EmailPayload } from '../email.ts';
import { calendarText, type Attachment, type Calendar } from '../attachment.ts';
import type { Handover, Receipt } from '../provider.ts';

/** The tag with the message's id; Resend's reports contain it. */
export const messageTag = 'waybill_message';

/** Resend's limit for addresses in `to`. */
const maxTo = 50;

export type ResendBody = {
  readonly json: string;
  readonly recipients: readonly string[];
  readonly later: readonly string[];
};

export function resendBody(email: EmailPayload, about: Omit<Handover, 'signal'>): ResendBody {
  const { to, cc, bcc, later } = addressees(email, about.recipients);
  const { from, replyTo = [], subject, html, text, attachments = [], calendar } = email;
  const files = calendar ? [...attachments, invitation(calendar)] : attachments;
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
  const bare = (list: readonly Address[]) => list.map(({ address }) => address);
  return { json, recipients: bare([...to, ...cc, ...bcc]), later: bare(later) };
}

const ownMail = 'not in the same request: gets a mail of its own';

/** @param id Resend's id of the accepted email */
export function receiptOf({ recipients, later }: ResendBody, status: number, id: string): Receipt {
  return {
    accepted: recipients,
    rejected: later.map((address) => ({ address, error: ownMail, temporary: true })),
    response: `HTTP ${status} ${id}`,
    reference: id,
  };
}

/**
 * A request has no envelope, so its fields hold only the handover's recipients. `cc` fills an empty `to`, which Resend refuses.
 * Of `bcc` only one address does, because bcc recipients must not see one another. `later` do not fit into this request.
 */
function addressees({ to, cc = [], bcc = [] }: EmailPayload, recipients: readonly string[]) {
  const wanted = new Set(recipients);
  const among = (list: readonly Address[]) => list.filter(({ address }) => wanted.has(address));
  const [first, second, hidden] = [among(to), among(cc), among(bcc)];
  if (first.length + second.length === 0)
    return { to: hidden.slice(0, 1), cc: [], bcc: [], later: hidden.slice(1) };
  const [shown, beside] = first.length > 0 ? [first, second] : [second, []];
  return { to: shown.slice(0, maxTo), cc: beside, bcc: hidden, later: shown.slice(maxTo) };
}

/** Resend takes only text and html, so an invitation is attached as a text/calendar file. */
function invitation(calendar: Calendar): Attachment {
  const contentType = `text/calendar; charset=utf-8; method=${calendar.method}`;
  return { filename: 'invite.ics', content: calendarText(calendar), contentType };
}

function attached({ filename, content, encoding, contentType, cid }: Attachment): object {
  return {
    filename,
    content: Buffer.from(content, encoding ?? 'utf8').toString('base64'),
    ...(contentType !== undefined && { content_type: contentType }),
    ...(cid !== undefined && { content_id: cid }),
  };
}
