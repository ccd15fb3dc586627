// POST /webhooks/PROVIDER takes the reports of email providers about accepted emails. A report needs a valid proof of where it comes from.

import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import { parseMailgunReport } from '../email/mailgun/report.ts';
import { parsePostmarkReport } from '../email/postmark/report.ts';
import { recordReport, type ProviderReport } from '../email/report.ts';
import { parseResendReport } from '../email/resend/report.ts';
import { parseSendgridReports } from '../email/sendgrid/report.ts';
import { WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { isFromMailgun, isFromPostmark, isFromSendgrid } from '../webhook/provider.ts';
import { verifiedId } from '../webhook/signature.ts';

/** The most bytes of a request; a report has a few thousand. */
const reportLimit = 262_144;
/** SendGrid sends many reports together. */
const reportsLimit = 1_048_576;

type Receiver = {
  readonly provider: string;
  /** The variable that opens the route. */
  readonly variable: string;
  readonly secret: string | null;
  /** Bytes. */
  readonly limit?: number;
  /** The reports of a request; undefined: it does not prove where it comes from. */
  read(body: Buffer, headers: IncomingHttpHeaders, secret: string): readonly ProviderReport[] | undefined;
};

const listOf = <T>(one: T | undefined): T[] => (one === undefined ? [] : [one]);

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

function receiversOf({ resendWebhookSecret, reports }: Config): readonly Receiver[] {
  return [
    {
      provider: 'resend',
      variable: 'RESEND_WEBHOOK_SECRET',
      secret: resendWebhookSecret,
      read(body, headers, secret) {
        const id = verifiedId(body, headers, secret);
        return id === undefined ? undefined : listOf(parseResendReport(body.toString(), id));
      },
    },
    {
      provider: 'postmark',
      variable: 'POSTMARK_WEBHOOK_CREDENTIALS',
      secret: reports.postmark,
      read: (body, headers, secret) =>
        isFromPostmark(headers, secret) ? listOf(parsePostmarkReport(body.toString())) : undefined,
    },
    {
      provider: 'sendgrid',
      variable: 'SENDGRID_WEBHOOK_KEY',
      secret: reports.sendgrid,
      limit: reportsLimit,
      read: (body, headers, secret) =>
        isFromSendgrid(body, headers, secret, Date.now()) ? parseSendgridReports(body.toString()) : undefined,
    },
    {
      provider: 'mailgun',
      variable: 'MAILGUN_WEBHOOK_SIGNING_KEY',
      secret: reports.mailgun,
      read(body, _, secret) {
        const signature = mailgunSignature(body);
        if (signature === undefined || !isFromMailgun(signature, secret, Date.now())) return undefined;
        return listOf(parseMailgunReport(body.toString()));
      },
    },
  ];
}

export function addWebhooks(server: FastifyInstance, { db, log, config }: Host): void {
  async function routes(webhooks: FastifyInstance): Promise<void> {
    webhooks.removeAllContentTypeParsers(); // signatures cover the raw bytes
    webhooks.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
    for (const receiver of receiversOf(config)) {
      const { provider, variable, secret, limit: bodyLimit = reportLimit } = receiver;
      const onRequest = async (): Promise<void> => {
        if (secret === null)
          throw new WaybillError('webhook_closed', `this webhook is closed: set ${variable} to open it`);
      };
      webhooks.post(`/${provider}`, { onRequest, bodyLimit }, async ({ body, headers }) => {
        const bytes = (body as Buffer | undefined) ?? Buffer.alloc(0);
        let noted = false;
        for (const report of proven(receiver, bytes, headers)) {
          const isNew = await recordReport(db, report);
          noted ||= isNew;
          const { type, messageId: message, suppress } = report;
          log.info({ provider, type, message, suppress, noted: isNew }, 'the provider reported on an email');
        }
        return { noted };
      });
    }
  }

  server.register(routes, { prefix: '/webhooks' });
}

/** @throws WaybillError `webhook_signature_invalid`, `webhook_invalid` */
function proven(
  { read, secret, variable }: Receiver,
  body: Buffer,
  headers: IncomingHttpHeaders,
): readonly ProviderReport[] {
  const reports = read(body, headers, secret!); // the route is open
  if (reports !== undefined) return reports;
  throw new WaybillError(
    'webhook_signature_invalid',
    `the request does not fit its signature and ${variable}, or is older than some minutes`,
  );
}
