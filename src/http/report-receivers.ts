// How each email provider posts its reports, and what proves that a request comes from it.

import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import { parseMailgunReport } from '../email/mailgun/report.ts';
import { parsePostmarkReport } from '../email/postmark/report.ts';
import type { ProviderReport } from '../email/report.ts';
import { parseResendReport } from '../email/resend/report.ts';
import { parseSendgridReports } from '../email/sendgrid/report.ts';
import { parseSesReport } from '../email/ses/report.ts';
import type { Host } from '../process/host.ts';
import { isFromMailgun, isFromPostmark, isFromSendgrid } from '../webhook/provider.ts';
import { verifiedId } from '../webhook/signature.ts';
import { createSnsReader, type SnsTopic } from '../webhook/sns.ts';

/** The most bytes of a request; a report has a few thousand. */
const reportLimit = 262_144;
/** SendGrid sends many reports together. */
const reportsLimit = 1_048_576;

/** The reports of a request; undefined: it does not prove where it comes from. */
type Read = readonly ProviderReport[] | undefined;

export type Receiver = {
  readonly provider: string;
  /** The variable that opens the route. */
  readonly variable: string;
  /** Bytes. */
  readonly limit: number;
  /**
   * Undefined: the route is closed.
   * @throws WaybillError `webhook_invalid`, `webhook_sender_unreachable`
   */
  readonly read: ((body: Buffer, headers: IncomingHttpHeaders) => Read | Promise<Read>) | undefined;
};

const listOf = <T>(one: T | undefined): T[] => (one === undefined ? [] : [one]);

function resend(secret: string): Receiver['read'] {
  return (body, headers) => {
    const id = verifiedId(body, headers, secret);
    return id === undefined ? undefined : listOf(parseResendReport(body.toString(), id));
  };
}

function postmark(credentials: string): Receiver['read'] {
  return (body, headers) =>
    isFromPostmark(headers, credentials) ? listOf(parsePostmarkReport(body.toString())) : undefined;
}

function sendgrid(publicKey: string): Receiver['read'] {
  return (body, headers) =>
    isFromSendgrid(body, headers, publicKey, Date.now()) ? parseSendgridReports(body.toString()) : undefined;
}

const signed = z.object({
  signature: z.object({ timestamp: z.coerce.string(), token: z.string(), signature: z.string() }),
});

function mailgunSignature(body: Buffer) {
  try {
    return signed.safeParse(JSON.parse(body.toString())).data?.signature;
  } catch {
    return undefined; // no JSON has no signature
  }
}

function mailgun(signingKey: string): Receiver['read'] {
  return (body) => {
    const signature = mailgunSignature(body);
    if (signature === undefined || !isFromMailgun(signature, signingKey, Date.now())) return undefined;
    return listOf(parseMailgunReport(body.toString()));
  };
}

/** A topic of Amazon SNS asks first whether the address wants its notifications. */
function ses(topic: SnsTopic, log: Host['log']): Receiver['read'] {
  const sns = createSnsReader(topic);
  return async (body) => {
    const post = await sns.read(body.toString(), Date.now());
    if (post === undefined) return undefined;
    if (post.Type === 'Notification') return listOf(parseSesReport(post.Message, `ses ${post.MessageId}`));
    if (post.Type === 'SubscriptionConfirmation') {
      await sns.confirm(post);
      log.info({ provider: 'ses', topic: topic.arn }, 'the subscription to the topic is confirmed');
    } else
      log.warn({ provider: 'ses', topic: topic.arn }, 'the topic does not report to this address any more');
    return [];
  };
}

export function receiversOf({ resendWebhookSecret, reports }: Config, log: Host['log']): readonly Receiver[] {
  const receiver = <T>(
    provider: string,
    variable: string,
    proof: T | null,
    read: (proof: T) => Receiver['read'],
    limit = reportLimit,
  ): Receiver => ({ provider, variable, limit, read: proof === null ? undefined : read(proof) });
  return [
    receiver('resend', 'RESEND_WEBHOOK_SECRET', resendWebhookSecret, resend),
    receiver('postmark', 'POSTMARK_WEBHOOK_CREDENTIALS', reports.postmark, postmark),
    receiver('sendgrid', 'SENDGRID_WEBHOOK_KEY', reports.sendgrid, sendgrid, reportsLimit),
    receiver('ses', 'SES_TOPIC_ARN', reports.ses, (topic) => ses(topic, log)),
    receiver('mailgun', 'MAILGUN_WEBHOOK_SIGNING_KEY', reports.mailgun, mailgun),
  ];
}
