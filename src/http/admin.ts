// The admin API, by which operators inspect and change messages, queues and processes. It is closed without WAYBILL_ADMIN_KEY.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { CheckPayload } from '../acts/copy.ts';
import { limited } from '../db/limited.ts';
import type { Database } from '../db/pool.ts';
import { parseFilter } from '../operate/filter.ts';
import { cancel, look, retry, retryAll, show } from '../acts/messages.ts';
import { readStats } from '../operate/stats.ts';
import type { Host } from '../process/host.ts';
import { readAdvice } from '../scale/decisions.ts';
import { addAudit } from './audit.ts';
import { addBulk } from './bulk.ts';
import { addCron } from './cron.ts';
import { addEvents } from './events.ts';
import { addFleet } from './fleet.ts';
import { filters } from './filters.ts';
import { addMessageActs } from './messages.ts';
import { actorOf, askForKey, type WrongKeys } from './people.ts';
import { describeAdmin } from './admin-openapi.ts';
import { databasesOf } from './page-addresses.ts';
import { addPerson } from './person.ts';
import { addQueues } from './queues.ts';
import { addFailures } from './failures.ts';
import { addSearch, checkContents } from './search.ts';
import { addSuppressions } from './suppressions.ts';
import { readingMs, toldSlow } from './slow.ts';
import type { Watch } from './change-watch.ts';

type WithId = { Params: { id: string } };

export type AdminPorts = {
  /** Called after each change that makes messages due. */
  readonly notify: () => void;
  readonly wrongKeys: WrongKeys;
  readonly watch: Watch;
  readonly check: CheckPayload;
};

export function addAdmin(server: FastifyInstance, host: Host, ports: AdminPorts): void {
  const { notify, wrongKeys, watch, check } = ports;
  const { db } = host;
  const reads = limited(db, readingMs);

  async function notifying<T>(change: Promise<T>): Promise<T> {
    const result = await change;
    notify();
    return result;
  }

  async function routes(admin: FastifyInstance): Promise<void> {
    admin.setErrorHandler((error, request) => {
      throw toldSlow(error, request.method);
    });
    askForKey(admin, host, wrongKeys);
    describeAdmin(admin, host.version, databasesOf(host)?.names);
    addSearch(admin, reads);
    addFailures(admin, db, reads);
    addMessages(admin, { db, reads }, notifying);
    addMessageActs(admin, {
      db,
      maxPayloadBytes: host.config.maxPayloadBytes,
      payloadKeys: host.config.payloadKeys,
      check,
    });
    addQueues(admin, db, reads);
    addSuppressions(admin, db, reads);
    addFleet(admin, db, reads);
    admin.get(
      '/autoscale',
      { config: { about: 'How many workers each queue needs, and why' } },
      async () => ({ queues: await readAdvice(reads) }),
    );
    addCron(admin, { db, reads, notify });
    addBulk(admin, db, reads);
    addPerson(admin, db);
    addAudit(admin, reads);
    addEvents(admin, watch);
  }

  server.register(routes, { prefix: '/admin' });
}

type Notifying = <T>(change: Promise<T>) => Promise<T>;

function addMessages(
  admin: FastifyInstance,
  { db, reads }: { readonly db: Database; readonly reads: Database },
  notifying: Notifying,
): void {
  admin.get('/outbox/stats', { config: { about: 'Counts messages by state and by queue' } }, () =>
    readStats(reads),
  );
  admin.post(
    '/outbox/retry',
    { config: { about: 'Retries all messages that match', body: bulk } },
    async (request) => {
      const { dryRun, reason, by, wanted } = await bulkOf(request);
      return notifying(retryAll(db, actorOf(request, { reason, by }), wanted, { dryRun }));
    },
  );
  admin.get<WithId>(
    '/outbox/:id',
    {
      config: {
        about:
          'Shows a message with its attempts, notes and acts; its payload, which the audit records, only to the role admin',
        query: showing,
      },
    },
    async (request) => {
      const { payload } = await parseArguments({ name: 'show', args: showing }, request.query);
      const { id } = request.params;
      // Only an admin sees what is in a message.
      return payload === 'true' && request.person?.role === 'admin'
        ? show(reads, actorOf(request), id)
        : look(reads, id);
    },
  );
  admin.post<WithId>(
    '/outbox/:id/retry',
    { config: { about: 'Makes a dead or cancelled message wait again', body: aboutArgs } },
    async (request) => notifying(retry(db, actorOf(request, await aboutOf(request.body)), request.params.id)),
  );
  admin.post<WithId>(
    '/outbox/:id/cancel',
    { config: { about: 'Cancels a waiting message', body: aboutArgs } },
    async (request) =>
      notifying(cancel(db, actorOf(request, await aboutOf(request.body)), request.params.id)),
  );
}

/** Why it is done, and who does it: the key does not identify a person. */
const about = { reason: z.string().min(1).max(1_000).nullish(), by: z.string().min(1).max(200).optional() };

const bulk = z.strictObject({
  ...filters,
  /** Retries every dead message. It must be explicit, so that a forgotten filter does not do it. */
  all: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  ...about,
});

/** `payload=false`: no payload, and nothing for the audit. */
const showing = z.strictObject({ payload: z.enum(['true', 'false']).default('true') });

const aboutArgs = z.strictObject(about);

async function aboutOf(body: unknown): Promise<z.output<typeof aboutArgs>> {
  return parseArguments({ name: 'act', args: aboutArgs }, body ?? {});
}

async function bulkOf(request: FastifyRequest) {
  const args = await parseArguments({ name: 'bulk retry', args: bulk }, request.body ?? {});
  const { dryRun, all, reason, by, ...filter } = args;
  const wanted = parseFilter(all ? { status: 'dead', ...filter } : filter);
  checkContents(request, wanted);
  return { dryRun, reason, by, wanted };
}
