// Reads Mailgun's reports about accepted emails (documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks).

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
import { messageVariable } from './mailgun.ts';

const kind = z.object({ 'event-data': z.object({ event: z.string() }) });

const data = z.object({
  event: z.string(),
  id: reportId,
  severity: word,
  reason: word,
  recipient: z.string().catch(''),
  message: z
    .object({ headers: z.object({ 'message-id': reportId }) })
    .optional()
    .catch(undefined),
  'delivery-status': z
    .object({ code: z.int().optional().catch(undefined), message: word, description: word })
    .optional()
    .catch(undefined),
  'user-variables': z.record(z.string(), z.unknown()).optional().catch(undefined),
});
type Data = z.output<typeof data>;

/**
 * @returns undefined for an event that is ignored, such as `opened`
 * @throws WaybillError `webhook_invalid` when the text is no event of Mailgun
 */
export function parseMailgunReport(text: string): ProviderReport | undefined {
  const json = reportJson(text);
  const { event } = checkedReport(kind, json, 'Mailgun')['event-data'];
  if (!['failed', 'delivered', 'complained'].includes(event)) return undefined;
  const said = checkedReport(z.object({ 'event-data': data }), json, 'Mailgun')['event-data'];
  const { severity, reason, 'delivery-status': status } = said;
  const words = [severity, reason, status?.code, status?.message || status?.description];
  const reference = said.message?.headers['message-id'] ?? null;
  const messageId = messageIdOf(said['user-variables']?.[messageVariable]);
  return {
    ...judge(said),
    reference,
    messageId,
    source: said.id
      ? `mailgun ${said.id}`
      : madeSource('mailgun', event, severity, reference ?? messageId, said.recipient),
    recipients: reportedRecipients([said.recipient]),
    detail: cleanError(words.filter(Boolean).join(': ')) || undefined,
  };
}

/** A failure for the reason `suppress-…` is on Mailgun's own list: nothing was sent. */
function judge({ event, severity, reason = '' }: Data): Pick<ProviderReport, 'type' | 'suppress'> {
  if (event === 'delivered') return { type: 'delivered', suppress: undefined };
  if (event === 'complained') return { type: 'complained', suppress: 'complained' };
  if (severity !== 'permanent') return { type: 'delivery_delayed', suppress: undefined };
  if (reason.startsWith('suppress-')) return { type: 'suppressed', suppress: undefined };
  return { type: 'bounced', suppress: reason === 'bounce' ? 'bounced' : undefined };
}
