// Checks header fields: which an email may set, and that no line exceeds 998 octets (RFC 5322, section 2.1.1).
// A server breaks a longer line, which puts a blank into its text, such as a link.

import { z } from 'zod';
import type { Problem } from '../address/problem.ts';
import { checked, line, refuse } from './text.ts';

const maxLine = 998;
const maxValue = 4_000;
/** The most blanks in a row: folding a longer run would leave a line of only blanks. */
const maxBlanks = 60;

/** Fields that follow from the email's properties or that servers set. */
const structural =
  /^(?:from|to|cc|bcc|reply-to|sender|subject|date|message-id|return-path|received|delivered-to|mime-version|dkim-signature|arc-.*|authentication-results|(?:content|resent)-.*)$/i;

/** Fields whose values cannot be written as encoded words. */
const asciiOnly = /^(?:references|in-reply-to|otp-token)$/i;

function nameProblem(name: string): string | undefined {
  if (!/^[A-Za-z0-9-]{1,76}$/.test(name)) return 'a header name has 1 to 76 letters, digits and hyphens';
  if (structural.test(name)) return `the header ${name} is not free: it follows from the email itself`;
  return undefined;
}

function lengthProblem({ length }: string): string | undefined {
  return length > maxValue ? `has ${length} characters; at most ${maxValue} are allowed` : undefined;
}

const headerName = checked(z.string(), { code: 'header_not_allowed', problemOf: nameProblem });
const headerValue = checked(line, { code: 'header_too_long', problemOf: lengthProblem });

export const headers = z.record(headerName, headerValue).superRefine((given, ctx) => {
  for (const [name, value] of Object.entries(given)) {
    const problem = lineProblem(name, value) ?? asciiProblem(name, value);
    if (problem) refuse(ctx, problem, [name]);
  }
});

/** Why a field cannot be folded into lines that every server accepts. Non-ASCII words are encoded in pieces. */
export function lineProblem(name: string, value: string): Problem | undefined {
  if (value.includes(' '.repeat(maxBlanks + 1)))
    return { code: 'header_too_long', message: `holds more than ${maxBlanks} blanks in a row` };
  const octets = name.length + 2 + longestWord(value);
  if (octets <= maxLine) return undefined;
  return {
    code: 'header_too_long',
    message: `the header ${name.slice(0, 76)} needs a line of ${octets} octets; at most ${maxLine} are allowed, and it can be broken at blanks alone`,
  };
}

/** The length of the longest ASCII word. */
function longestWord(value: string): number {
  const words = value.split(' ').filter((word) => /^[\x21-\x7e]*$/.test(word));
  return words.reduce((longest, { length }) => Math.max(longest, length), 0);
}

/**
 * The fields for nodemailer: ASCII values unchanged, folded at blanks. By default it encodes a value with a quote,
 * which providers that read JSON in a header do not decode.
 */
export function writtenFields(fields: Readonly<Record<string, string>>) {
  const written = Object.entries(fields).map(([name, value]) => {
    const asGiven = /^[\x20-\x7e]*$/.test(value) && !asciiOnly.test(name);
    return [name, asGiven ? ({ prepared: true, foldLines: true, value } as const) : value] as const;
  });
  return Object.fromEntries(written);
}

function asciiProblem(name: string, value: string): Problem | undefined {
  if (!asciiOnly.test(name) || /^[\x20-\x7e]*$/.test(value)) return undefined;
  return { code: 'header_not_allowed', message: `the header ${name} takes ASCII alone` };
}

const maxSubject = 998;

export const subject = line.superRefine((text, ctx) => {
  if (text.trim() === '') refuse(ctx, { code: 'subject_required', message: 'must not be empty' });
  if (text.length > maxSubject)
    refuse(ctx, {
      code: 'subject_too_long',
      message: `has ${text.length} characters; at most ${maxSubject} are allowed`,
    });
  else if (text.includes(' '.repeat(maxBlanks + 1)))
    refuse(ctx, { code: 'subject_too_long', message: `holds more than ${maxBlanks} blanks in a row` });
});

/** An HTTPS URL (RFC 8058, section 3.1). The header writes it between `<` and `>`. */
export const unsubscribeUrl = line.transform((text, ctx): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || /[<>\s,]/.test(url.href)) {
    refuse(ctx, {
      code: 'unsubscribe_url_invalid',
      message: 'must be a URL like https://shop.example/unsubscribe?id=7, without a comma or a user',
    });
    return z.NEVER;
  }
  const problem = lineProblem('List-Unsubscribe', `<${url.href}>`);
  if (problem) refuse(ctx, problem);
  return url.href;
});

/** Encoded words (RFC 2047) for a subject with a word too long to fold; undefined for any other subject. */
export function encodedSubject(text: string): string | undefined {
  if (longestWord(text) + 'Subject: '.length <= maxLine) return undefined;
  const pieces = [''];
  for (const char of text) {
    if (Buffer.byteLength(pieces.at(-1)! + char) > 45) pieces.push('');
    pieces[pieces.length - 1] += char;
  }
  return pieces.map((piece) => `=?UTF-8?B?${Buffer.from(piece).toString('base64')}?=`).join('\r\n ');
}
