// Prepares an email for nodemailer, so that every attempt produces the same bytes.

import type { SendMailOptions } from 'nodemailer';
import { headerFields, type EmailPayload } from './email.ts';
import { calendarText, type Attachment } from './attachment.ts';
import { encodedSubject, writtenFields } from './header.ts';
import type { Handover } from './provider.ts';

export type Mail = SendMailOptions & { readonly baseBoundary: string };

/** Addresses are objects and the envelope is explicit, so nodemailer parses nothing (FACTS 16). */
export function mailOf(
  email: EmailPayload,
  { messageId, date, recipients, idempotencyKey }: Omit<Handover, 'signal'>,
): Mail {
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
    baseBoundary: idempotencyKey, // nodemailer's default is random, but every attempt must send the same bytes
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

/** A subject that nodemailer could not fold. */
function subjectField(subject: string): Record<string, { prepared: true; value: string }> {
  const value = encodedSubject(subject);
  return value === undefined ? {} : { Subject: { prepared: true, value } };
}

/** An attachment that the html shows is inline; every other one is a file. */
function part({ cid, ...file }: Attachment) {
  return { ...file, ...(cid === undefined ? {} : { cid, contentDisposition: 'inline' as const }) };
}
