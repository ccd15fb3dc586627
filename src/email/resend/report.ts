// Reads Resend's reports about accepted emails (resend.com/docs/webhooks/event-types).

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
import { messageTag } from './body.ts';

/** The events that are recorded. Others, such as `email.opened`, are ignored. */
const types = z.enum(['delivered', 'delivery_delayed', 'bounced', 'complained', 'failed', 'suppressed']);

const event = z.object({ type: z.string() });

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
  email_id: reportId,
  to: z.array(z.string()),
  /** Resend's page of events shows one object with names and values, its page of parameters a list. */
  tags: z
    .union([
      z.record(z.string(), z.unknown()),
      z
        .array(z.object({ name: z.string(), value: z.string() }))
        .transform((list) => Object.fromEntries(list.map(({ name, value }) => [name, value]))),
    ])
    .optional()
    .catch(undefined),
  bounce: said,
  failed: said,
  suppressed: said,
});

/**
 * @param source the webhook's id
 * @returns undefined for an event that is ignored
 * @throws WaybillError `webhook_invalid` when the text is no Resend event
 */
export function parseResendReport(text: string, source: string): ProviderReport | undefined {
  const json = reportJson(text);
  const { type: name } = checkedReport(event, json, 'Resend');
  const type = name.startsWith('email.') ? types.safeParse(name.slice('email.'.length)).data : undefined;
  if (type === undefined) return undefined;
  const {
    email_id: reference,
    to,
    tags,
    bounce,
    ...other
  } = checkedReport(z.object({ data }), json, 'Resend').data;
  const told = bounce ?? other.failed ?? other.suppressed;
  const hard = type === 'bounced' && bounce?.type === 'Permanent';
  return {
    type,
    reference,
    messageId: messageIdOf(tags?.[messageTag]),
    source,
    recipients: reportedRecipients(to),
    detail: told && (cleanError(words(told)) || undefined),
    suppress: hard ? 'bounced' : type === 'complained' ? 'complained' : undefined,
  };
}

function words({ type, subType, message, reason, diagnosticCode = [] }: Said): string {
  const kind = [type, subType].filter((part) => part !== undefined).join(', ');
  return [kind, message, reason, ...diagnosticCode].filter(Boolean).join(': ');
}
