// What Resend is asked to send (resend.com/docs/api-reference/emails/send-email). The same email and handover give the same bytes: Resend
// compares them with those that it took under the same key.

import type { Address } from './address.ts';
import { headerFields, type EmailPayload } from './email.ts';
import type { Attachment } from './parts.ts';
import type { Handover, Receipt } from './provider.ts';

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
  const { from, replyTo = [], subject, html, text, attachments = [] } = email;
  const json = JSON.stringify({
    from: mailbox(from),
    to: to.map(mailbox),
    ...(cc.length > 0 && { cc: cc.map(mailbox) }),
    ...(bcc.length > 0 && { bcc: bcc.map(mailbox) }),
    ...(replyTo.length > 0 && { reply_to: replyTo.map(mailbox) }),
    subject,
    html,
    text,
    headers: { ...headerFields(email), 'Message-ID': about.messageId },
    ...(attachments.length > 0 && { attachments: attachments.map(attached) }),
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

/** RFC 5322, section 3.4: a name that is more than words stands in quotes, where nothing of it is syntax. */
function mailbox({ name, address }: Address): string {
  if (name === undefined) return address;
  const words = /^[\p{L}\p{M}\p{N} ]+$/u.test(name);
  return `${words ? name : `"${name.replaceAll(/["\\]/g, '\\$&')}"`} <${address}>`;
}

function attached({ filename, content, encoding, contentType }: Attachment): object {
  return {
    filename,
    content: Buffer.from(content, encoding ?? 'utf8').toString('base64'),
    ...(contentType !== undefined && { content_type: contentType }),
  };
}
