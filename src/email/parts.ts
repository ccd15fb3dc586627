// The parts of an email that are not addresses: texts, header fields and attachments, each with its schema.

import { z } from 'zod';
import { textProblem, type Problem } from './problem.ts';

type Refuse = { addIssue(issue: { code: 'custom'; message: string; params: { code: string } }): void };

/** Reports a problem as a zod issue that carries our code. */
export function refuse(ctx: Refuse, { code, message }: Problem): void {
  ctx.addIssue({ code: 'custom', message, params: { code } });
}

const MAX_SUBJECT = 998; // RFC 5322, section 2.1.1: a line has at most 998 characters
const MAX_HEADER = 4000;

/** html and text: any lines. Never an object, which a mail library would take for a file to read (FACTS 17). */
export const bodyText = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: false });
  if (problem) refuse(ctx, problem);
});

export const line = z.string().superRefine((text, ctx) => {
  const problem = textProblem(text, { oneLine: true });
  if (problem) refuse(ctx, problem);
});

export const subject = line.superRefine((text, ctx) => {
  if (text.trim() === '') refuse(ctx, { code: 'subject_required', message: 'must not be empty' });
  if (text.length > MAX_SUBJECT)
    refuse(ctx, {
      code: 'subject_too_long',
      message: `has ${text.length} characters; at most ${MAX_SUBJECT} are allowed`,
    });
});

/** Fields that the email's own properties, or the machines on the way, decide. */
const structural =
  /^(?:from|to|cc|bcc|reply-to|sender|subject|date|message-id|return-path|received|delivered-to|mime-version|dkim-signature|arc-.*|authentication-results|(?:content|resent)-.*)$/i;

const headerName = z.string().superRefine((name, ctx) => {
  if (!/^[A-Za-z0-9-]{1,76}$/.test(name))
    refuse(ctx, {
      code: 'header_not_allowed',
      message: 'a header name has 1 to 76 letters, digits and hyphens',
    });
  else if (structural.test(name))
    refuse(ctx, {
      code: 'header_not_allowed',
      message: `the header ${name} is not free: it follows from the email itself`,
    });
});

const headerValue = line.superRefine((value, ctx) => {
  if (value.length > MAX_HEADER)
    refuse(ctx, {
      code: 'header_too_long',
      message: `has ${value.length} characters; at most ${MAX_HEADER} are allowed`,
    });
});

export const headers = z.record(headerName, headerValue);

/** RFC 8058, section 3.1: an HTTPS URI. It stands between `<` and `>` in a header. */
export const unsubscribeUrl = line.transform((text, ctx): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url?.protocol === 'https:' &&
    url.username === '' &&
    url.href.length <= 2000 &&
    !/[<>\s,]/.test(url.href)
  )
    return url.href;
  refuse(ctx, {
    code: 'unsubscribe_url_invalid',
    message: 'must be a URL like https://shop.example/unsubscribe?id=7, of at most 2000 characters',
  });
  return z.NEVER;
});

const token = "[A-Za-z0-9!#$&'*+.^_`|~-]{1,127}";
const contentType = new RegExp(`^${token}/${token}(?:; ?${token}=${token})*$`);

/** Inline only: no path, no URL, nothing that the sending process would have to fetch. */
export const attachment = z
  .strictObject({
    filename: line.superRefine((name, ctx) => {
      if (name.length === 0 || name.length > 255)
        refuse(ctx, { code: 'filename_invalid', message: 'must have 1 to 255 characters' });
    }),
    content: bodyText,
    encoding: z.enum(['utf8', 'base64']).optional(),
    contentType: line
      .superRefine((type, ctx) => {
        if (!contentType.test(type))
          refuse(ctx, { code: 'content_type_invalid', message: "must look like 'application/pdf'" });
      })
      .optional(),
  })
  .superRefine(({ content, encoding }, ctx) => {
    if (encoding === 'base64' && !/^[A-Za-z0-9+/\r\n]*={0,2}\s*$/.test(content))
      ctx.addIssue({
        code: 'custom',
        path: ['content'],
        message: 'is not base64',
        params: { code: 'invalid_base64' },
      });
  });

export type Attachment = {
  readonly filename: string;
  readonly content: string;
  readonly encoding?: 'utf8' | 'base64' | undefined;
  readonly contentType?: string | undefined;
};
