// Records Resend's reports about accepted emails (resend.com/docs/webhooks/event-types) as notes on their messages.
// A permanent bounce or a complaint also suppresses the recipients, in the same transaction.

import { z } from 'zod';
import type { Transactions } from '../../db/transaction.ts';
import { WaybillError } from '../../errors.ts';
import { noteReport } from '../../outbox/note.ts';
import { reportedAddress } from '../../address/mailbox.ts';
import { messageTag } from './body.ts';
import { suppress } from '../suppression.ts';
import { cleanError } from '../../redaction/redact.ts';

export type ResendReport = {
  /** The type of Resend's event, without the prefix `email.`. */
  readonly type: z.output<typeof types>;
  /** Resend's id of the email. */
  readonly reference: string;
  /** The message's id from the tag; null without the tag. */
  readonly messageId: string | null;
  /** The webhook's id, so that a repeated report is noted once. */
  readonly source: string;
  readonly recipients: readonly string[];
  readonly detail: string | undefined;
  /** Why the recipients are suppressed; undefined: they are not. */
  readonly suppress: 'bounced' | 'complained' | undefined;
};

/** The events that are recorded. Others, such as `email.opened`, are ignored. */
const types = z.enum(['delivered', 'delivery_delayed', 'bounced', 'complained', 'failed', 'suppressed']);

const event = z.object({ type: z.string() });

/** Text for people. A missing or malformed one does not invalidate the report. */
const word = z.string().optional().catch(undefined);
const said = z
  .object({
    type: word,
    subType: word,
    message: word,
    reason: word,
    diagnosticCode: z.array(z.string()).optional().catch(undefined),
  })
  .optional()
  .catch(undefined);
type Said = NonNullable<z.output<typeof said>>;

const data = z.object({
  email_id: z.string().regex(/^[\x21-\x7e]{1,200}$/),
  to: z.array(z.string()),
  /** Resend's page of events shows one object with names and values, its page of parameters a list. */
  tags: z
    .union([
      z.record(z.string(), z.unknown()),
      z
        .array(z.object({ name: z.string(), value: z.string() }))
        .transform((list) => Object.fromEntries(list.map(({ name, value }) => [name, value]))),
    ])
    .optional(),
  bounce: said,
  failed: said,
  suppressed: said,
});

/**
 * @param source the webhook's id
 * @returns undefined for an event that is ignored
 * @throws WaybillError `webhook_invalid` when the text is no Resend event
 */
export function parseResendReport(text: string, source: string): ResendReport | undefined {
  const json = jsonOf(text);
  const { type: name } = checked(event, json);
  const type = name.startsWith('email.') ? types.safeParse(name.slice('email.'.length)).data : undefined;
  if (type === undefined) return undefined;
  const { email_id: reference, to, tags, bounce, ...other } = checked(z.object({ data }), json).data;
  const told = bounce ?? other.failed ?? other.suppressed;
  const hard = type === 'bounced' && bounce?.type === 'Permanent';
  return {
    type,
    reference,
    messageId: z.uuid().safeParse(tags?.[messageTag]).data ?? null,
    source,
    recipients: recipientsOf(to),
    detail: told && (cleanError(words(told)) || undefined),
    suppress: hard ? 'bounced' : type === 'complained' ? 'complained' : undefined,
  };
}

/** @returns whether the report is new and of a known message */
export async function recordReport(db: Transactions, report: ResendReport): Promise<boolean> {
  const { recipients, suppress: reason, source, type, reference, messageId, detail } = report;
  return db.transaction(async (tx) => {
    let noted = false;
    for (const [index, recipient] of (recipients.length > 0 ? recipients : [undefined]).entries()) {
      if (reason !== undefined && recipient !== undefined) await suppress(tx, recipient, reason);
      const own = index === 0 ? source : `${source}/${index}`;
      const note = { type, recipient, detail, reference, messageId, source: own };
      noted = (await noteReport(tx, note)) || noted;
    }
    return noted;
  });
}

function words({ type, subType, message, reason, diagnosticCode = [] }: Said): string {
  const kind = [type, subType].filter((part) => part !== undefined).join(', ');
  return [kind, message, reason, ...diagnosticCode].filter(Boolean).join(': ');
}

/** Sorted, so that concurrent reports do not deadlock. Invalid addresses are dropped: no mail was sent to them. */
function recipientsOf(to: readonly string[]): string[] {
  const addresses = to.flatMap((text) => reportedAddress(text) ?? []);
  return [...new Set(addresses)].toSorted();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new WaybillError('webhook_invalid', 'the body is no JSON');
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => {
    return { path: path.map(String).join('.'), message };
  });
  throw new WaybillError('webhook_invalid', 'the body is no event of Resend', issues);
}
