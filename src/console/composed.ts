// The mail of a message, composed as the worker hands it over, whatever the provider: for people who look into the message.

import { z } from 'zod';
import { handoverOf } from '../delivery/handover.ts';
import { contentOf, htmlAlone, type Attachment } from '../email/attachment.ts';
import { readEmail } from '../email/email.ts';
import { headersOf, headOf, sourceOf } from '../email/source.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import type { WholeMessage } from '../operate/read.ts';
import type { MailParts } from './mail.ts';

export type ComposedMail = MailParts & {
  /** The html with its images, to be shown alone. */
  readonly htmlAlone: string | null;
  readonly source: Buffer;
  readonly files: readonly Attachment[];
};

/**
 * @param emailFrom the sender of an email that names none
 * @throws WaybillError `not_an_email`, the codes of an email
 */
export async function composedMail(
  { id, kind, createdAt, payload, sensitive }: WholeMessage,
  emailFrom: string | null,
): Promise<ComposedMail> {
  if (kind !== 'email' || sensitive)
    throw new WaybillError('not_an_email', `the message ${id} has no mail that can be shown`);
  const { email, only } = readPayload(payload, emailFrom);
  const { from, to, cc = [], bcc = [], subject, html = null, text = null, attachments = [] } = email;
  const everybody = [...to, ...cc, ...bcc].map(({ address }) => address);
  const recipients = only?.recipients ?? everybody;
  const recorded = createdAt instanceof Date ? createdAt : new Date(0); // SQL may have written a time out of reach
  const about = handoverOf({ id, createdAt: recorded }, only ? { email, only } : { email }, recipients);
  const source = await sourceOf(email, about);
  return {
    from: from.address,
    recipients,
    subject,
    html,
    text,
    headers: headersOf(headOf(source)),
    attachments: attachments.map((one) => ({ ...one, bytes: contentOf(one).length })),
    htmlAlone: html === null ? null : htmlAlone(html, attachments),
    source,
    files: attachments,
  };
}

function readPayload(payload: unknown, defaultFrom: string | null): ReturnType<typeof readEmail> {
  try {
    return readEmail(payload, { defaultFrom });
  } catch (error) {
    if (isWaybillError(error) || !(error instanceof z.ZodError)) throw error;
    throw new WaybillError('not_an_email', `the payload is no email: ${z.prettifyError(error)}`);
  }
}
