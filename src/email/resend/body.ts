// What Resend is asked to send (resend.com/docs/api-reference/emails/send-email). The same email and handover give the same bytes: Resend
// compares them with those that it took under the same key.

import { writeMailbox, type Address } from '../../address/mailbox.ts';
import { headerFields, type EmailPayload } from '../email.ts';
import { calendarText, type Attachment, type Calendar } from '../attachment.ts';
import type { Handover, Receipt } from '../provider.ts';

/** The tag that names the message: Resend's reports carry it. */
export const messageTag = 'waybill_message';

/** Resend takes so many addresses in `to`. */
const maxTo = 50;

type Addressees = {
  readonly to: readonly Address[];
  readonly cc: readonly Address[];
  readonly bcc: readonly Address[];
  /** Who cannot be in the same request. */
  readonly later: readonly Address[];
};

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

/** @param id Resend's name for what it took */
export function receiptOf({ recipients, later }: ResendBody, status: number, id: string): Receipt {
  return {
    accepted: recipients,
    rejected: later.map((address) => ({ address, error: ownMail, temporary: true })),
    response: `HTTP ${status} ${id}`,
    reference: id,
  };
}

/**
 * There is no envelope beside the fields, so the fields hold nobody but those of the handover, and `to` must not be empty: `cc` moves up
 * into it. Of `bcc` only one does, for hidden recipients are not to see one another.
 */
function addressees({ to, cc = [], bcc = [] }: EmailPayload, recipients: readonly string[]): Addressees {
  const wanted = new Set(recipients);
  const among = (list: readonly Address[]) => list.filter(({ address }) => wanted.has(address));
  const [first, second, hidden] = [among(to), among(cc), among(bcc)];
  if (first.length + second.length === 0)
    return { to: hidden.slice(0, 1), cc: [], bcc: [], later: hidden.slice(1) };
  const [shown, beside] = first.length > 0 ? [first, second] : [second, []];
  return { to: shown.slice(0, maxTo), cc: beside, bcc: hidden, later: shown.slice(maxTo) };
}

/** Resend has no other forms of an email beside text and html: an invitation goes as a file, whose type says what it is. */
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
