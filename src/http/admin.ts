// The admin API, by which operators inspect and change messages, queues and processes. It is closed without WAYBILL_ADMIN_KEY.

import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../errors.ts';
import { parseFilter, type MessageFilter, type Paging } from '../operate/filter.ts';
import { cancelMessage, retryMany, retryMessage } from '../operate/operate.ts';
import { listMessages, showMessage } from '../operate/read.ts';
import { readStats } from '../operate/stats.ts';
import { fleet } from '../process/heartbeat.ts';
import { readAdvice } from '../scale/decisions.ts';
import { checkAdminKey } from './auth.ts';
import { addCron, type CronPorts } from './cron.ts';
import { addQueues } from './queues.ts';
import { addSuppressions } from './suppressions.ts';

type AdminPorts = CronPorts & { readonly adminKey: string | null };

type WithId = { Params: { id: string } };

export function addAdmin(server: FastifyInstance, { db, adminKey, notify }: AdminPorts): void {
  async function notifying<T>(change: Promise<T>): Promise<T> {
    const result = await change;
    notify();
    return result;
  }

  async function routes(admin: FastifyInstance): Promise<void> {
    admin.addHook('onRequest', async (request, reply) => {
      checkAdminKey(request, adminKey);
      void reply.header('cache-control', 'no-store');
    });
    admin.get('/outbox', (request) => listMessages(db, filterOf(request.query as Texts)));
    admin.get('/outbox/stats', () => readStats(db));
    admin.post('/outbox/retry', async (request) => {
      const { dryRun, all, ...filter } = await bulkOf(request.body);
      return notifying(retryMany(db, parseFilter(all ? { status: 'dead', ...filter } : filter), { dryRun }));
    });
    admin.get<WithId>('/outbox/:id', (request) => showMessage(db, request.params.id));
    admin.post<WithId>('/outbox/:id/retry', (request) => notifying(retryMessage(db, request.params.id)));
    admin.post<WithId>('/outbox/:id/cancel', (request) => notifying(cancelMessage(db, request.params.id)));
    addQueues(admin, db);
    addSuppressions(admin, db);
    admin.get('/fleet', async () => ({ processes: await fleet(db) }));
    admin.get('/autoscale', async () => ({ queues: await readAdvice(db) }));
    addCron(admin, { db, notify });
  }

  server.register(routes, { prefix: '/admin' });
}

type Texts = Readonly<Record<string, string | string[] | undefined>>;

const texts = z.union([z.string(), z.array(z.string())]).optional();
const filters = {
  status: texts,
  kind: texts,
  name: texts,
  queue: texts,
  deliveryKey: texts,
  outcome: texts,
  cause: texts,
  errorContains: z.string().optional(),
  since: z.string().optional(),
  until: z.string().optional(),
};
const parameters = [...Object.keys(filters), 'limit', 'cursor'];

const bulk = z.strictObject({
  ...filters,
  /** Retries every dead message. It must be explicit, so that a forgotten filter does not do it. */
  all: z.boolean().default(false),
  dryRun: z.boolean().default(false),
});

/** @throws WaybillError `unknown_parameter`, because ignoring a misspelt filter would show everything */
function filterOf(query: Texts): MessageFilter & Paging {
  for (const name of Object.keys(query)) {
    if (parameters.includes(name)) continue;
    const meant = nearest(name, parameters);
    const hint = meant ? `did you mean ${meant}?` : `there are ${parameters.join(', ')}`;
    throw new WaybillError(
      'unknown_parameter',
      `there is no parameter ${JSON.stringify(name.slice(0, 80))}: ${hint}`,
    );
  }
  return parseFilter(query);
}

async function bulkOf(body: unknown): Promise<z.output<typeof bulk>> {
  return parseArguments({ name: 'bulk retry', args: bulk }, body ?? {});
}
