// POST /webhooks/resend takes Resend's reports about accepted emails. A report needs a valid signature, at most five minutes old.

import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { parseResendReport, recordReport } from '../email/resend/report.ts';
import { WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { verifiedId } from '../webhook/signature.ts';

/** The most bytes of a report; Resend's have a few thousand. */
const reportLimit = 262_144;

export function addWebhooks(server: FastifyInstance, { db, log, config }: Host): void {
  const { resendWebhookSecret: secret } = config;

  async function routes(webhooks: FastifyInstance): Promise<void> {
    webhooks.removeAllContentTypeParsers(); // the signature covers the raw bytes
    webhooks.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
    webhooks.addHook('onRequest', async () => {
      if (secret === null)
        throw new WaybillError(
          'webhook_closed',
          'this webhook is closed: set RESEND_WEBHOOK_SECRET to open it',
        );
    });
    webhooks.post('/resend', async (request) => {
      const body = (request.body as Buffer | undefined) ?? Buffer.alloc(0);
      const source = checkedId(body, request.headers, secret!);
      const report = parseResendReport(body.toString(), source);
      if (report === undefined) return { noted: false };
      const noted = await recordReport(db, report);
      const { type, messageId: message, suppress } = report;
      log.info({ provider: 'resend', type, message, suppress, noted }, 'the provider reported on an email');
      return { noted };
    });
  }

  server.register(routes, { prefix: '/webhooks' });
}

/** @throws WaybillError `body_too_large`, `webhook_signature_invalid` */
function checkedId(body: Buffer, headers: IncomingHttpHeaders, secret: string): string {
  if (body.length > reportLimit)
    throw new WaybillError('body_too_large', `a report may have ${reportLimit} bytes at most`);
  const id = verifiedId(body, headers, secret);
  if (id !== undefined) return id;
  throw new WaybillError(
    'webhook_signature_invalid',
    'the signature does not fit the body and RESEND_WEBHOOK_SECRET, or is older than five minutes',
  );
}
