// Reads Postmark's reports about accepted emails (postmarkapp.com/developer/webhooks/webhooks-overview).

import { z } from 'zod';
import { cleanError } from '../../redaction/redact.ts';
import {
  checkedReport,
  madeSource,
  messageIdOf,
  reportedRecipients,
  reportId,
  reportJson,
  reportWord as word,
  type ProviderReport,
} from '../report.ts';
import { messageField } from './body.ts';

const kind = z.object({ RecordType: z.string() });

const record = z.object({
  MessageID: reportId,
  Metadata: z.record(z.string(), z.unknown()).optional().catch(undefined),
  /** Bounces and complaints have `Email`, deliveries and changes of a subscription `Recipient`. */
  Email: word,
  Recipient: word,
  /** Of a bounce or complaint. */
  ID: z
    .string()
    .regex(/^\d{1,40}$/)
    .optional()
    .catch(undefined),
  Type: word,
  Description: word,
  Details: word,
  SuppressionReason: word,
  SuppressSending: z.boolean().optional().catch(undefined),
});
type Said = z.output<typeof record>;

/** Bounces after which Postmark does not send to the address again (postmarkapp.com/developer/api/bounce-api#bounce-types). */
const hard: readonly (string | undefined)[] = ['HardBounce', 'BadEmailAddress'];

/**
 * @returns undefined for an event that is ignored, such as `Open`
 * @throws WaybillError `webhook_invalid` when the text is no event of Postmark
 */
export function parsePostmarkReport(text: string): ProviderReport | undefined {
  // The documentation has bounces with the ID 4323372036854775807, which no number of JavaScript is.
  const json = reportJson(text, (key, value, context) =>
    key === 'ID' && typeof value === 'number' ? context?.source : value,
  );
  const { RecordType } = checkedReport(kind, json, 'Postmark');
  if (!['Bounce', 'SpamComplaint', 'Delivery', 'SubscriptionChange'].includes(RecordType)) return undefined;
  const said = checkedReport(record, json, 'Postmark');
  const judged = judge(RecordType, said);
  if (judged === undefined) return undefined;
  const { MessageID: reference, Metadata, Email, Recipient, ID, Type, Description, Details } = said;
  const recipient = Email ?? Recipient ?? '';
  const detail = [Type, Description, said.SuppressionReason, Details].filter(Boolean).join(': ');
  const messageId = messageIdOf(Metadata?.[messageField]);
  return {
    ...judged,
    reference,
    messageId,
    source: madeSource('postmark', RecordType, reference ?? messageId, ID ?? recipient),
    recipients: reportedRecipients([recipient]),
    detail: cleanError(detail) || undefined,
  };
}

function judge(
  recordType: string,
  { Type, SuppressSending }: Said,
): Pick<ProviderReport, 'type' | 'suppress'> | undefined {
  switch (recordType) {
    case 'Bounce':
      return { type: 'bounced', suppress: hard.includes(Type) ? 'bounced' : undefined };
    case 'SpamComplaint':
      return { type: 'complained', suppress: 'complained' };
    case 'Delivery':
      return { type: 'delivered', suppress: undefined };
    default: // the recipient unsubscribed from one stream, or may get mail of it again
      return SuppressSending === true ? { type: 'suppressed', suppress: undefined } : undefined;
  }
}
