// The roles *email* and *jobs*: workers, each for its own queues.

import { manifestOf } from '../cron/manifest.ts';
import { withManifest } from '../cron/service.ts';
import type { Config } from '../config/config.ts';
import { webhookQueue } from '../define/messages.ts';
import { loadApp } from '../define/load.ts';
import { createRegistry, standardQueues } from '../define/registry.ts';
import { createDeliver } from '../delivery/deliver.ts';
import { publishInitial } from '../metrics/initial.ts';
import { withNotices } from '../notice/job.ts';
import { registerProviders } from '../queues/providers.ts';
import { registerQueues } from '../queues/queues.ts';
import { rateOf, type Limits } from '../queues/limits.ts';
import type { Host } from '../process/host.ts';
import { readAllowList } from '../webhook/allow-list.ts';
import { workerService, type WorkerPart } from '../worker/service.ts';
import { labelsOf } from './labels.ts';
import { configuredMailing } from './mailing.ts';
import { createWebhooks } from '../delivery/webhook.ts';
import { closing, outboxOf, queueOf, type Cast, type Role } from './role.ts';

export const emailRole: Role = (host) => deliveryRole(host, () => [standardQueues.email]);

export const jobsRole: Role = (host) => deliveryRole(host, (queues) => queues);

/** Webhooks wait for others' servers: their slots are many, and an endpoint that does not answer takes none of the other work's. */
function workersOf(
  queues: readonly string[],
  { concurrency, webhookConcurrency }: Pick<Config, 'concurrency' | 'webhookConcurrency'>,
): readonly WorkerPart[] {
  const [webhooks, others] = [
    queues.filter((name) => name === webhookQueue),
    queues.filter((name) => name !== webhookQueue),
  ];
  const workers = [
    { queues: others, size: concurrency },
    { queues: webhooks, size: webhookConcurrency },
  ];
  return webhooks.length === 0 ? workers.slice(0, 1) : workers.filter((one) => one.queues.length > 0);
}

async function deliveryRole(
  host: Host,
  own: (handled: readonly string[]) => readonly string[],
): Promise<Cast> {
  const { config, log, events } = host;
  const app = await loadApp(config.app, config.database);
  publishInitial(host.metrics, labelsOf(app, config.emailProviders));
  const registry = createRegistry(withNotices(app, config.notice));
  const standard = own(registry.queues);
  const queues = config.queues?.filter((queue) => standard.includes(queue)) ?? standard;
  if (queues.length === 0)
    log.warn({ asked: config.queues, has: standard }, 'WAYBILL_QUEUES leaves this process no queue to work');
  const { email } = standardQueues;
  const emailRate = config.emailRate === null ? {} : { rate: rateOf(config.emailRate) };
  const limitsOf = (name: string): Limits => ({
    ...registry.limits.get(name),
    ...(name === email ? emailRate : {}),
  });
  await registerQueues(host.db, queues, new Map(queues.map((name) => [name, limitsOf(name)])));
  const outboxOn = outboxOf(config);
  const { close, ...mailing } = configuredMailing(app, config, {
    db: host.db,
    log,
    workerId: host.id,
  });
  if (queues.includes(email)) await registerProviders(host.db, several(config.emailProviders));
  const { emailFrom, database } = config;
  const handlers = { db: host.handlers, registry, mailing, outboxOn, emailFrom, database, log };
  const { payloadKeys } = config;
  const webhooks = createWebhooks(readAllowList(config.webhookAllow));
  const deliver = createDeliver({ ...handlers, webhooks, payloadKeys, onEmail: events.emailAttempted });
  const closeAll = async (): Promise<void> => {
    webhooks.post.close();
    await close();
  };
  const { perProcess, priorities } = registry;
  const given = { queue: queueOf(host), outboxOn, deliver, perProcess, priorities };
  const service = workerService(host, { ...given, workers: workersOf(queues, config) });
  const delivers = queues.includes(standardQueues.jobs);
  return {
    life: app,
    service: withManifest(host, manifestOf(app), delivers, closing(service, closeAll)),
  };
}

/** One provider alone is not parked: its failures park the queue. */
function several(providers: readonly string[]): readonly string[] {
  return providers.length > 1 ? providers : [];
}
