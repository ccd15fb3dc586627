// Reads SendGrid's reports about accepted emails (twilio.com/docs/sendgrid/for-developers/tracking-events/event). A request has several.

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
import { messageArgument } from './body.ts';

const events = z.array(
  z.looseObject({
    event: z.string(),
    email: z.string().catch(''),
    timestamp: z.int().optional().catch(undefined),
    sg_event_id: reportId,
    sg_message_id: reportId,
    type: word,
    reason: word,
    response: word,
    status: word,
  }),
);
type Event = z.output<typeof events>[number];

/**
 * Events that are ignored, such as `open`, are left out.
 * @throws WaybillError `webhook_invalid` when the text is no list of events
 */
export function parseSendgridReports(text: string): ProviderReport[] {
  return checkedReport(events, reportJson(text), 'SendGrid').flatMap((event) => {
    const judged = judge(event);
    if (judged === undefined) return [];
    const { sg_message_id: message, sg_event_id: source, email } = event;
    const reference = message?.split('.', 1)[0] ?? null; // the answer to the request had this part alone
    const messageId = messageIdOf(event[messageArgument]);
    const { type, status, reason, response } = event;
    const detail = [type, status, reason ?? response].filter(Boolean).join(': ');
    return {
      ...judged,
      reference,
      messageId,
      source: source ?? madeSource('sendgrid', event.event, reference ?? messageId, email, event.timestamp),
      recipients: reportedRecipients([email]),
      detail: cleanError(detail) || undefined,
    };
  });
}

/** A bounce of the type `blocked` concerns the moment, not the address. */
function judge({ event, type }: Event): Pick<ProviderReport, 'type' | 'suppress'> | undefined {
  switch (event) {
    case 'bounce':
      return { type: 'bounced', suppress: type === 'blocked' ? undefined : 'bounced' };
    case 'spamreport':
      return { type: 'complained', suppress: 'complained' };
    case 'dropped':
      return { type: 'suppressed', suppress: undefined };
    case 'deferred':
      return { type: 'delivery_delayed', suppress: undefined };
    case 'delivered':
      return { type: 'delivered', suppress: undefined };
    default:
      return undefined;
  }
}
