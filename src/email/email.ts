// The email as callers pass it and as it is stored. Checks run at enqueue, so that the caller can correct the email.

import { z } from 'zod';
import { WaybillError } from '../errors.ts';
import { parseAddress, type Address, type AddressInput } from '../address/mailbox.ts';
import { attachment, calendar, cidProblem, type Attachment, type Calendar } from './attachment.ts';
import { headers, subject, unsubscribeUrl } from './header.ts';
import { plainText } from './plain.ts';
import { refusal } from './refusal.ts';
import { bodyText, refuse } from './text.ts';

/** What kind of mailing an email belongs to: one for its recipient, or one to many. */
export type Stream = 'transactional' | 'broadcast';

/** One address, or several. */
export type AddressesInput = AddressInput | readonly AddressInput[];

/** An email for `ctx.email.enqueue`, besides the options of every message. */
export type EmailInput = {
  /** 1 … 100 recipients, `cc` and `bcc` included. */
  readonly to: AddressesInput;
  /** Recipients that everybody sees. */
  readonly cc?: AddressesInput | undefined;
  /** Recipients that nobody else sees. */
  readonly bcc?: AddressesInput | undefined;
  /** The sender; default WAYBILL_EMAIL_FROM. */
  readonly from?: AddressInput | undefined;
  /** Where answers go. Default: to the sender. */
  readonly replyTo?: AddressesInput | undefined;
  /** One line. */
  readonly subject: string;
  /** An email needs html, text or both. A missing text is derived from the html. */
  readonly html?: string | undefined;
  readonly text?: string | undefined;
  /** More fields of the head, by name. Fields that Waybill writes itself are refused. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Files, and images that the html shows. */
  readonly attachments?: readonly Attachment[] | undefined;
  /** An invitation to an event, or another message about one, as an alternative to text and html. */
  readonly calendar?: Calendar | undefined;
  /** `broadcast` is for mailings to many and needs `unsubscribeUrl`. Default `transactional`. */
  readonly stream?: Stream | undefined;
  /** An https URL where one POST unsubscribes the recipient (RFC 8058). */
  readonly unsubscribeUrl?: string | undefined;
};

/** The stored email: checked JSON with parsed addresses. */
export type EmailPayload = Omit<EmailInput, 'from' | 'to' | 'cc' | 'bcc' | 'replyTo'> & {
  readonly from: Address;
  readonly to: readonly Address[];
  readonly cc?: readonly Address[];
  readonly bcc?: readonly Address[];
  readonly replyTo?: readonly Address[];
  /** The first `availableAt` of a delayed email, in ISO 8601. */
  readonly date?: string;
};

const MAX_RECIPIENTS = 100;

const address = z.unknown().transform((value, ctx): Address => {
  const parsed = parseAddress(value);
  if ('address' in parsed) return parsed;
  refuse(ctx, parsed);
  return z.NEVER;
});

const addresses = z.unknown().transform((value, ctx): Address[] => {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.flatMap((item, index) => {
    const parsed = parseAddress(item);
    if ('address' in parsed) return [parsed];
    refuse(ctx, parsed, Array.isArray(value) ? [index] : []);
    return [];
  });
});

const someone = z.unknown().superRefine((value, ctx) => {
  const missing =
    value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
  if (missing)
    refuse(ctx, { code: 'to_required', message: 'names nobody: an email needs at least one recipient' });
});

const shape = {
  to: someone.pipe(addresses),
  cc: addresses.optional(),
  bcc: addresses.optional(),
  from: address.optional(),
  replyTo: addresses.optional(),
  subject,
  html: bodyText.optional(),
  text: bodyText.optional(),
  headers: headers.optional(),
  attachments: z.array(attachment).optional(),
  calendar: calendar.optional(),
  stream: z.enum(['transactional', 'broadcast']).optional(),
  unsubscribeUrl: unsubscribeUrl.optional(),
};

const emailSchema = z.strictObject(shape);

/**
 * Checks an email and returns its stored form.
 * @param options.defaultFrom the sender of an email without `from`
 * @throws WaybillError with the code of the first problem and an issue for each; docs/errors.md lists the codes
 */
export function prepareEmail(input: unknown, options: { readonly defaultFrom: string | null }): EmailPayload {
  const parsed = emailSchema.safeParse(input, { reportInput: true });
  if (!parsed.success) throw refusal(parsed.error.issues, fieldsAt);
  const { from, to, cc, bcc, replyTo, html, text, attachments, ...rest } = parsed.data;
  if (!html && !text)
    throw new WaybillError('content_required', 'an email needs html or text that is not empty');
  checkUnsubscribe(rest);
  checkImages(html, attachments);
  return JSON.parse(
    JSON.stringify({
      from: from ?? sender(options.defaultFrom),
      ...distinct({ to, cc, bcc }),
      ...(replyTo?.length && { replyTo }),
      ...rest,
      html: html || undefined,
      text: text || plainText(html ?? ''),
      attachments: attachments?.length ? attachments : undefined,
    }),
  ) as EmailPayload;
}

function fieldsAt(path: string): readonly string[] {
  if (path === '') return Object.keys(shape);
  return Object.keys(path === 'calendar' ? calendar.shape : attachment.shape);
}

function checkImages(html = '', attachments: readonly Attachment[] = []): void {
  const problem = cidProblem(html, attachments);
  if (problem === undefined) return;
  const { code, path, message } = problem;
  throw new WaybillError(code, `the email is not valid: ${path}: ${message}`, [{ path, message }]);
}

/** Sends another message's email again, to the recipients that the provider refused temporarily. */
const followUp = z.strictObject({
  /** The message whose email it is. */
  of: z.uuid(),
  recipients: z.array(z.string()).min(1),
});

export type FollowUp = z.output<typeof followUp>;

const stored = z.iso.datetime();

/**
 * Checks a stored email again, because SQL may have written or changed the row.
 * @throws WaybillError, ZodError
 */
export function readEmail(
  payload: unknown,
  options: { readonly defaultFrom: string | null },
): { readonly email: EmailPayload; readonly only?: FollowUp } {
  if (typeof payload !== 'object' || payload === null) return { email: prepareEmail(payload, options) };
  const { only, date, ...given } = payload as { only?: unknown; date?: unknown };
  const prepared = prepareEmail(given, options);
  const email = date === undefined ? prepared : { ...prepared, date: stored.parse(date) };
  return only === undefined ? { email } : { email, only: followUp.parse(only) };
}

const unsubscribing = /^list-unsubscribe(-post)?$/i;

function checkUnsubscribe(email: Pick<EmailInput, 'stream' | 'unsubscribeUrl' | 'headers'>): void {
  if (email.stream === 'broadcast' && email.unsubscribeUrl === undefined)
    throw new WaybillError(
      'unsubscribe_url_required',
      'a broadcast needs unsubscribeUrl: the address where one POST unsubscribes its recipient (RFC 8058)',
      [{ path: 'unsubscribeUrl', message: 'is required when stream is broadcast' }],
    );
  const own = Object.keys(email.headers ?? {}).find((name) => unsubscribing.test(name));
  if (own !== undefined && email.unsubscribeUrl !== undefined)
    throw new WaybillError(
      'header_not_allowed',
      `the header ${own} follows from unsubscribeUrl: leave one away`,
      [{ path: `headers.${own}`, message: 'follows from unsubscribeUrl' }],
    );
}

/** The email's own header fields, and those of RFC 8058, section 3.1. */
export function headerFields({
  headers: own = {},
  unsubscribeUrl: url,
}: EmailPayload): Record<string, string> {
  if (url === undefined) return { ...own };
  return { ...own, 'List-Unsubscribe': `<${url}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' };
}

function sender(defaultFrom: string | null): Address {
  if (defaultFrom === null)
    throw new WaybillError(
      'from_required',
      'the email names no sender (from), and WAYBILL_EMAIL_FROM is not set',
      [{ path: 'from', message: 'is required when WAYBILL_EMAIL_FROM is not set' }],
    );
  const parsed = parseAddress(defaultFrom);
  if ('address' in parsed) return parsed;
  throw new WaybillError('sender_misconfigured', `WAYBILL_EMAIL_FROM cannot be a sender: ${parsed.message}`);
}

/** Removes duplicate recipients. The first mention counts, and `to` comes before `cc` before `bcc`. */
function distinct(lists: Record<'to' | 'cc' | 'bcc', Address[] | undefined>) {
  const seen = new Set<string>();
  const unseen = (list: readonly Address[] = []) =>
    list.filter(({ address: one }) => !seen.has(one) && seen.add(one));
  const [to, cc, bcc] = [unseen(lists.to), unseen(lists.cc), unseen(lists.bcc)];
  if (seen.size > MAX_RECIPIENTS)
    throw new WaybillError(
      'too_many_recipients',
      `the email has ${seen.size} recipients; at most ${MAX_RECIPIENTS} are allowed`,
    );
  return { to, ...(cc.length > 0 && { cc }), ...(bcc.length > 0 && { bcc }) };
}
