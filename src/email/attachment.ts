// Checks attachments, inline images and invitations. None names a file or a URL that the worker would read (FACTS 17).

import { z } from 'zod';
import type { Problem } from '../address/problem.ts';
import { bodyText, checked, line, refuse } from './text.ts';

/** A file in an email: its content as text or base64, never a path or a URL. With a `cid` it is an inline image. */
export type Attachment = Readonly<z.output<typeof attachment>>;

/** A message about an event (RFC 5546), such as an invitation, which mail clients show with buttons to accept. */
export type Calendar = Readonly<z.output<typeof calendar>>;

const calendarMethods = [
  'PUBLISH',
  'REQUEST',
  'REPLY',
  'ADD',
  'CANCEL',
  'REFRESH',
  'COUNTER',
  'DECLINECOUNTER',
] as const;

/** The recipient saves the file under this name. So it must not be a path or disguise its extension. */
function filenameProblem(name: string): string | undefined {
  if (name.length === 0 || name.length > 255) return 'must have 1 to 255 characters';
  if (/[/\\]/.test(name)) return 'must be a name without / and \\, not a path';
  if (/\p{Bidi_Control}/u.test(name))
    return 'holds a character that turns the direction of the text, and so hides its end';
  if (name.includes('=?')) return 'holds =?, which receivers would read as an encoded word: as another name';
  if (name.trim() !== name || name.endsWith('.'))
    return 'must not begin or end with a blank, nor end with a dot';
  return undefined;
}

const token = "[A-Za-z0-9!#$&'*+.^_`|~-]{1,127}";
const contentTypeForm = new RegExp(
  `^${token}/${token}(?: *; *${token}=(?:${token}|"(?:[^"\\\\]|\\\\.)*"))*$`,
);

function contentTypeProblem(type: string): string | undefined {
  if (type.length > 255) return `has ${type.length} characters; at most 255 are allowed`;
  if (!/^[\x20-\x7e]*$/.test(type) || !contentTypeForm.test(type))
    return `must look like 'application/pdf' or 'text/plain; charset="UTF-8"'`;
  // A multipart would need parts, and most message/… types refer to external content.
  if (/^multipart\//i.test(type) || (/^message\//i.test(type) && !/^message\/rfc822(?: *;|$)/i.test(type)))
    return 'a multipart, or a message that is elsewhere, cannot be attached';
  return undefined;
}

function cidFormProblem(name: string): string | undefined {
  if (/^[A-Za-z0-9._@+-]{1,127}$/.test(name)) return undefined;
  return "must have 1 to 127 letters, digits, '.', '_', '-', '+' or '@'";
}

export const attachment = z
  .strictObject({
    filename: checked(line, { code: 'filename_invalid', problemOf: filenameProblem }),
    content: bodyText,
    encoding: z.enum(['utf8', 'base64']).optional(),
    contentType: checked(line, { code: 'content_type_invalid', problemOf: contentTypeProblem }).optional(),
    /** The name by which the html shows it, such as `logo` for `<img src="cid:logo">`. */
    cid: checked(line, { code: 'cid_invalid', problemOf: cidFormProblem }).optional(),
  })
  .superRefine(({ content, encoding, contentType: type = '' }, ctx) => {
    const problem = encoding === 'base64' ? base64Problem(content) : longLineProblem(content, type);
    if (problem) refuse(ctx, problem, ['content']);
  });

/** Allows line ends anywhere and missing padding. Refuses text that Buffer would decode only in part. */
function base64Problem(text: string): Problem | undefined {
  const digits = text.replaceAll(/[\r\n]/g, '').trimEnd();
  const bare = digits.replace(/={1,2}$/, '');
  const padding = digits.length - bare.length;
  const right =
    /^[A-Za-z0-9+/]*$/.test(bare) && bare.length % 4 !== 1 && (padding === 0 || digits.length % 4 === 0);
  return right ? undefined : { code: 'invalid_base64', message: 'is not base64' };
}

/** An attached message is the one part that may not be encoded (RFC 2046, section 5.2.1), so its lines are sent as they are. */
function longLineProblem(content: string, type: string): Problem | undefined {
  if (!/^message\//i.test(type) || content.split(/\r\n|\r|\n/).every((one) => Buffer.byteLength(one) <= 998))
    return undefined;
  return { code: 'line_too_long', message: 'a message that is attached has lines of at most 998 octets' };
}

export const calendar = z
  .strictObject({
    method: z.enum(calendarMethods),
    /** iCalendar (RFC 5545), with the same METHOD. */
    content: bodyText,
  })
  .superRefine(({ method, content }, ctx) => {
    const message = calendarProblem(method, content);
    if (message !== undefined) refuse(ctx, { code: 'calendar_invalid', message }, ['content']);
  });

function calendarProblem(method: string, content: string): string | undefined {
  const lines = content.trim().split(/\r\n|\r|\n/);
  if (lines[0]?.toUpperCase() !== 'BEGIN:VCALENDAR' || lines.at(-1)?.toUpperCase() !== 'END:VCALENDAR')
    return 'must be iCalendar, from BEGIN:VCALENDAR to END:VCALENDAR (RFC 5545)';
  const said = lines
    .filter((one) => /^METHOD[:;]/i.test(one))
    .map((one) => one.slice('METHOD:'.length).trim().toUpperCase());
  return said.length === 1 && said[0] === method
    ? undefined
    : `must hold the line METHOD:${method} once, as its method says (RFC 6047, section 2.4)`;
}

/** The text as sent, with CRLF line ends (RFC 5545, section 3.1). */
export function calendarText({ content }: Calendar): string {
  return content.replaceAll(/\r\n|\r|\n/g, '\r\n');
}

/**
 * The files for a provider that takes only text and html beside files: an invitation becomes a text/calendar file
 * whose type names its method.
 */
export function filesOf({
  attachments = [],
  calendar: invitation,
}: {
  readonly attachments?: readonly Attachment[] | undefined;
  readonly calendar?: Calendar | undefined;
}): readonly Attachment[] {
  if (invitation === undefined) return attachments;
  const contentType = `text/calendar; charset=utf-8; method=${invitation.method}`;
  return [...attachments, { filename: 'invite.ics', content: calendarText(invitation), contentType }];
}

/**
 * References to attachments in the html (RFC 2392): where the value of an attribute begins, in quotes or not, and in `url(…)` of a style. An
 * `=cid:` amid a value is none, such as that of a link's query.
 */
const reference = /(?:=\s*["']|\s[a-z][\w:-]{0,63}\s*=\s*|url\(\s*["']?)cid:([^"'\s<>)]{1,400})/gi;

/** Each cid must be unique and shown by the html, and each cid that the html shows must be attached. */
export function cidProblem(
  html: string,
  attachments: readonly Attachment[],
): (Problem & { readonly path: string }) | undefined {
  const shown = new Set([...html.matchAll(reference)].map(([, name = '']) => decoded(name)));
  const given = new Set<string>();
  for (const [i, { cid: name }] of attachments.entries()) {
    if (name === undefined) continue;
    const path = `attachments[${i}].cid`;
    if (given.has(name))
      return { code: 'cid_invalid', path, message: `${name} is the cid of another attachment too` };
    const message = `the html does not show it: write <img src="cid:${name}">, or leave cid away`;
    if (!shown.has(name)) return { code: 'cid_invalid', path, message };
    given.add(name);
  }
  const missing = [...shown].find((name) => !given.has(name));
  if (missing === undefined) return undefined;
  const message = `shows cid:${missing.slice(0, 80)}, and no attachment has this cid`;
  return { code: 'cid_not_attached', path: 'html', message };
}

/** @param encoding of the content; default: text */
export function contentOf({ content, encoding }: Pick<Attachment, 'content' | 'encoding'>): Buffer {
  return Buffer.from(content, encoding ?? 'utf8');
}

/** The html with its attached images as data URLs, to be shown alone. */
export function htmlAlone(html: string, attachments: readonly Attachment[]): string {
  const urls = new Map<string, string>();
  for (const one of attachments) {
    const { cid, contentType, filename } = one;
    const type = /^image\/[a-z0-9.+-]{1,40}/i.exec(contentType ?? `image/${filename.split('.').at(-1)}`)?.[0];
    if (cid !== undefined && type !== undefined)
      urls.set(cid, `data:${type};base64,${contentOf(one).toString('base64')}`);
  }
  return withImages(html, urls);
}

function withImages(html: string, urls: ReadonlyMap<string, string>): string {
  return html.replaceAll(reference, (whole: string, name: string) => {
    const url = urls.get(decoded(name));
    return url === undefined ? whole : whole.slice(0, -'cid:'.length - name.length) + url;
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // invalid percent encoding: compare the text as it is
  }
}
