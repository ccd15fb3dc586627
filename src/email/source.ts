// The source of an email (RFC 5322): the bytes that the provider `smtp` would send, for providers that take them, for the inbox and
// for the console.

import type { EmailPayload } from './email.ts';
import { mailOf } from './mime.ts';
import type { Handover } from './provider.ts';

export async function sourceOf(email: EmailPayload, about: Omit<Handover, 'signal'>): Promise<Buffer> {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  const { message } = await transport.sendMail(mailOf(email, about));
  return message as Buffer; // because of `buffer`
}

/** The headers as sent, in their order: encoded, with folded lines joined. */
export type HeaderLines = readonly { readonly name: string; readonly value: string }[];

/** @param head the source up to its first empty line */
export function headersOf(head: string): HeaderLines {
  return head
    .replaceAll(/\r\n(?=[ \t])/g, '')
    .split('\r\n')
    .map((line) => {
      const colon = line.indexOf(':');
      return { name: line.slice(0, colon), value: line.slice(colon + 1).trim() };
    });
}

/** The part of a source that `headersOf` reads. */
export function headOf(source: Buffer): string {
  const end = source.indexOf('\r\n\r\n');
  return source.subarray(0, end < 0 ? source.length : end).toString();
}
