// POST /webhooks/PROVIDER takes the reports of email providers about accepted emails. A report needs a valid proof of where it comes from. An account at a
// provider is one for all databases, so each of them records the report.

import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { recordReport, type ProviderReport } from '../email/report.ts';
import { WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { receiversOf, type Receiver } from './report-receivers.ts';

export function addWebhooks(server: FastifyInstance, { all, log, config }: Host): void {
  async function routes(webhooks: FastifyInstance): Promise<void> {
    webhooks.removeAllContentTypeParsers(); // signatures cover the raw bytes
    webhooks.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
    for (const receiver of receiversOf(config, log)) {
      const { provider, variable, read, limit: bodyLimit } = receiver;
      const onRequest = async (): Promise<void> => {
        if (read === undefined)
          throw new WaybillError('webhook_closed', `this webhook is closed: set ${variable} to open it`);
      };
      webhooks.post(`/${provider}`, { onRequest, bodyLimit }, async ({ body, headers }) => {
        const bytes = (body as Buffer | undefined) ?? Buffer.alloc(0);
        return { noted: await recordReports(all, receiver, await proven(receiver, bytes, headers)) };
      });
    }
  }

  server.register(routes, { prefix: '/webhooks' });
}

/**
 * @returns whether one of them is new
 * @throws the error of a database that did not record them, after the others did: the provider sends them again, and each is noted once
 */
async function recordReports(
  hosts: readonly Host[],
  { provider }: Receiver,
  reports: readonly ProviderReport[],
): Promise<boolean> {
  const ends = await Promise.allSettled(
    hosts.map(async ({ db, log }) => {
      let noted = false;
      for (const report of reports) {
        const isNew = await recordReport(db, report);
        noted ||= isNew;
        const { type, messageId: message, suppress } = report;
        log.info({ provider, type, message, suppress, noted: isNew }, 'the provider reported on an email');
      }
      return noted;
    }),
  );
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return ends.some((end) => end.status === 'fulfilled' && end.value);
}

/** @throws WaybillError `webhook_signature_invalid`, `webhook_invalid`, `webhook_sender_unreachable` */
async function proven(
  { read, variable }: Receiver,
  body: Buffer,
  headers: IncomingHttpHeaders,
): Promise<readonly ProviderReport[]> {
  const reports = await read!(body, headers); // the route is open
  if (reports !== undefined) return reports;
  throw new WaybillError(
    'webhook_signature_invalid',
    `the request does not fit its signature and ${variable}, or is older than it may be`,
  );
}
