// An email as nodemailer is to write it: the same bytes on every attempt, with whichever provider.

import type { SendMailOptions } from 'nodemailer';
import { headerFields, type EmailPayload } from './email.ts';
import { calendarText, type Attachment } from './attachment.ts';
import { encodedSubject, writtenFields } from './header.ts';
import type { Handover } from './provider.ts';

export type Mail = SendMailOptions & { readonly baseBoundary: string };

/** Addresses go as objects and the envelope is ours: nothing is left for nodemailer to parse (FACTS 16). */
export function mailOf(email: EmailPayload, { messageId, date, recipients, idempotencyKey }: Handover): Mail {
  const { from, to, cc = [], replyTo, subject, html, text, attachments, calendar } = email;
  const listed = (list: readonly { name?: string; address: string }[]) =>
    list.map(({ name = '', address }) => ({ name, address }));
  return {
    from: listed([from])[0],
    to: listed(to),
    ...(cc.length > 0 ? { cc: listed(cc) } : {}),
    ...(replyTo ? { replyTo: listed(replyTo) } : {}),
    envelope: { from: from.address, to: [...recipients] },
    messageId,
    date,
    baseBoundary: idempotencyKey, // nodemailer's own is random, and every attempt is to send the same bytes
    ...(encodedSubject(subject) === undefined ? { subject } : {}),
    ...(html === undefined ? {} : { html }),
    ...(text === undefined ? {} : { text }),
    headers: { ...writtenFields(headerFields(email)), ...subjectField(subject) },
    ...(attachments === undefined ? {} : { attachments: attachments.map(part) }),
    ...(calendar === undefined
      ? {}
      : { icalEvent: { method: calendar.method, content: calendarText(calendar), filename: 'invite.ics' } }),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

/** One that nodemailer could not fold. */
function subjectField(subject: string): Record<string, { prepared: true; value: string }> {
  const value = encodedSubject(subject);
  return value === undefined ? {} : { Subject: { prepared: true, value } };
}

/** What the html shows stands in it; everything else is a file. */
function part({ cid, ...file }: Attachment) {
  return { ...file, ...(cid === undefined ? {} : { cid, contentDisposition: 'inline' as const }) };
}
