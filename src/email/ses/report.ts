// Reads Amazon SES's reports about accepted emails, as events of a configuration set or as notifications of an identity
// (docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html, .../notification-contents.html).

import { z } from 'zod';
import { cleanError } from '../../redaction/redact.ts';
import {
  checkedReport,
  messageIdOf,
  reportedRecipients,
  reportId,
  reportJson,
  reportWord as word,
  type ProviderReport,
} from '../report.ts';
import { messageTag } from './ses.ts';

const kind = z
  .object({ eventType: word, notificationType: word })
  .refine(({ eventType, notificationType }) => eventType ?? notificationType, 'neither is a text');

const recipients = z
  .array(z.object({ emailAddress: z.string().catch(''), status: word, diagnosticCode: word }))
  .optional();

const event = z.object({
  mail: z.object({
    messageId: reportId,
    tags: z.record(z.string(), z.array(z.string())).optional().catch(undefined),
  }),
  bounce: z.object({ bounceType: word, bounceSubType: word, bouncedRecipients: recipients }).optional(),
  complaint: z
    .object({ complaintFeedbackType: word, complaintSubType: word, complainedRecipients: recipients })
    .optional(),
  delivery: z.object({ recipients: z.array(z.string()).optional(), smtpResponse: word }).optional(),
  deliveryDelay: z.object({ delayType: word, delayedRecipients: recipients }).optional(),
  reject: z.object({ reason: word }).optional(),
});
type Event = z.output<typeof event>;

type Told = Pick<ProviderReport, 'type' | 'suppress'> & {
  readonly to: readonly string[];
  readonly words: readonly (string | undefined)[];
};

/**
 * @param source the id of the post
 * @returns undefined for an event that is ignored, such as `Open`
 * @throws WaybillError `webhook_invalid` when the text is no event of SES
 */
export function parseSesReport(text: string, source: string): ProviderReport | undefined {
  // SNS tests a topic with a text that is no JSON, and so does SES when a topic is chosen for an identity.
  if (text.startsWith('Successfully validated SNS topic')) return undefined;
  const json = reportJson(text);
  const { eventType, notificationType } = checkedReport(kind, json, 'Amazon SES');
  const read = readers.get(eventType ?? notificationType!);
  if (read === undefined) return undefined;
  const said = checkedReport(event, json, 'Amazon SES');
  const told = read(said);
  if (told === undefined) return undefined;
  const { type, suppress, to, words } = told;
  const { messageId: reference, tags } = said.mail;
  const detail = cleanError(words.filter(Boolean).join(': ')) || undefined;
  const messageId = messageIdOf(tags?.[messageTag]?.[0]);
  return { type, suppress, reference, messageId, source, recipients: reportedRecipients(to), detail };
}

const addresses = (list: z.output<typeof recipients> = []): string[] =>
  list.map(({ emailAddress }) => emailAddress);

/** By the type of the event. */
const readers = new Map<string, (event: Event) => Told | undefined>([
  ['Bounce', ({ bounce }) => bounce && bounceOf(bounce)],
  ['Complaint', ({ complaint }) => complaint && complaintOf(complaint)],
  [
    'Delivery',
    ({ delivery }) =>
      delivery && {
        type: 'delivered',
        suppress: undefined,
        to: delivery.recipients ?? [],
        words: [delivery.smtpResponse],
      },
  ],
  [
    'DeliveryDelay',
    ({ deliveryDelay: delay }) =>
      delay && {
        type: 'delivery_delayed',
        suppress: undefined,
        to: addresses(delay.delayedRecipients),
        words: [delay.delayType, delay.delayedRecipients?.[0]?.diagnosticCode],
      },
  ],
  [
    'Reject',
    ({ reject }) => reject && { type: 'failed', suppress: undefined, to: [], words: [reject.reason] },
  ],
]);

/** Subtypes of bounces and complaints for addresses on a list of SES or of the account: nothing was sent. */
const listed = ['Suppressed', 'OnAccountSuppressionList'];

function bounceOf({ bounceType, bounceSubType, bouncedRecipients }: NonNullable<Event['bounce']>): Told {
  const said = bouncedRecipients?.[0];
  const to = addresses(bouncedRecipients);
  const words = [bounceType, bounceSubType, said?.diagnosticCode ?? said?.status];
  if (listed.includes(bounceSubType ?? '')) return { type: 'suppressed', suppress: undefined, to, words };
  return { type: 'bounced', suppress: bounceType === 'Permanent' ? 'bounced' : undefined, to, words };
}

/** `not-spam` takes an earlier complaint back: a person moved the email out of the spam folder. */
function complaintOf(complaint: NonNullable<Event['complaint']>): Told | undefined {
  const { complaintFeedbackType: feedback, complaintSubType: subType, complainedRecipients } = complaint;
  if (feedback === 'not-spam') return undefined;
  const [to, words] = [addresses(complainedRecipients), [subType, feedback]];
  if (listed.includes(subType ?? '')) return { type: 'suppressed', suppress: undefined, to, words };
  return { type: 'complained', suppress: 'complained', to, words };
}
