// Records what a provider reports later about an accepted email, as a note on its message.
// A permanent bounce or a complaint also suppresses the recipients, in the same transaction.

import { z } from 'zod';
import { reportedAddress } from '../address/mailbox.ts';
import type { Transactions } from '../db/transaction.ts';
import { WaybillError } from '../errors.ts';
import { isNoted, noteReport } from '../outbox/note.ts';
import { suppress } from './suppression.ts';

export type ProviderReport = {
  readonly type: 'delivered' | 'delivery_delayed' | 'bounced' | 'complained' | 'failed' | 'suppressed';
  /** The provider's id of the email; null: the report has none that can be read. */
  readonly reference: string | null;
  /** The message's id, as the email named it to the provider; null without it. */
  readonly messageId: string | null;
  /** The report's own id, so that a repeated report is noted once. */
  readonly source: string;
  readonly recipients: readonly string[];
  readonly detail: string | undefined;
  /** Why the recipients are suppressed; undefined: they are not. */
  readonly suppress: 'bounced' | 'complained' | undefined;
};

/**
 * A report that is repeated suppresses nobody: a person may have taken the address off the list meanwhile. The note comes first, as it waits for the
 * transaction of the same report beside it.
 * @returns whether the report is new and of a known message
 */
export async function recordReport(db: Transactions, report: ProviderReport): Promise<boolean> {
  const { recipients, suppress: reason, source, type, reference, messageId, detail } = report;
  return db.transaction(async (tx) => {
    let noted = false;
    for (const [index, recipient] of (recipients.length > 0 ? recipients : [undefined]).entries()) {
      const own = index === 0 ? source : `${source}/${index}`;
      const note = { type, recipient, detail, reference, messageId, source: own };
      const isNew = await noteReport(tx, note);
      noted ||= isNew;
      if (reason === undefined || recipient === undefined) continue;
      if (isNew || !(await isNoted(tx, own))) await suppress(tx, recipient, reason);
    }
    return noted;
  });
}

/** Sorted, so that concurrent reports do not deadlock. Invalid addresses are dropped: no mail was sent to them. */
export function reportedRecipients(to: readonly string[]): string[] {
  const addresses = to.flatMap((text) => reportedAddress(text) ?? []);
  return [...new Set(addresses)].toSorted();
}

export const messageIdOf = (text: unknown): string | null => z.uuid().safeParse(text).data ?? null;

/** JSON.parse gives the text of a number beside it, and a number above 2^53 is exact only there. */
type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/** @throws WaybillError `webhook_invalid` when the text is no JSON */
export function reportJson(text: string, reviver?: Reviver): unknown {
  try {
    return JSON.parse(text, reviver);
  } catch {
    throw new WaybillError('webhook_invalid', 'the body is no JSON');
  }
}

/**
 * @param whose the provider, for the error
 * @throws WaybillError `webhook_invalid` with an issue for each field that is wrong
 */
export function checkedReport<T>(schema: z.ZodType<T>, value: unknown, whose: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 100).map(({ path, message }) => {
    return { path: path.map(String).join('.'), message };
  });
  throw new WaybillError('webhook_invalid', `the body is no event of ${whose}`, issues);
}

/** A text for people. A missing or malformed one does not invalidate the report. */
export const reportWord = z.string().optional().catch(undefined);

/**
 * A provider's id, as a report has it. Without one that can be read the report still counts: it suppresses its recipient, and its message may be found
 * in another way.
 */
export const reportId = z
  .string()
  .regex(/^[\x21-\x7e]{1,300}$/)
  .nullable()
  .catch(null);

/** The source of a report that has no id of its own: what distinguishes it from others. */
export const madeSource = (
  provider: string,
  ...parts: readonly (string | number | null | undefined)[]
): string => [provider, ...parts.map((part) => part ?? '-')].join(' ').slice(0, 500);
