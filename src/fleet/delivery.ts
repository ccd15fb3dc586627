// The roles *email* and *jobs*: workers, each for its own queues.

import { manifestOf } from '../cron/manifest.ts';
import { withManifest } from '../cron/service.ts';
import { loadApp } from '../define/load.ts';
import { createRegistry, standardQueues } from '../define/registry.ts';
import { createDeliver } from '../delivery/deliver.ts';
import { publishInitial } from '../metrics/initial.ts';
import { withNotices } from '../notice/job.ts';
import { registerProviders } from '../queues/providers.ts';
import { registerQueues } from '../queues/queues.ts';
import { rateOf, type Limits } from '../queues/limits.ts';
import type { Host } from '../process/host.ts';
import { workerService } from '../worker/service.ts';
import { labelsOf } from './labels.ts';
import { configuredMailing } from './mailing.ts';
import { closing, outboxOf, queueOf, type Cast, type Role } from './role.ts';

export const emailRole: Role = (host) => deliveryRole(host, () => [standardQueues.email]);

export const jobsRole: Role = (host) => deliveryRole(host, (queues) => queues);

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
  const handlers = { db: host.handlers, registry, mailing, outboxOn, emailFrom: config.emailFrom, log };
  const { payloadKeys } = config;
  const deliver = createDeliver({ ...handlers, payloadKeys, onEmail: events.emailAttempted });
  const { perProcess, priorities } = registry;
  const given = { queues, queue: queueOf(host), outboxOn, deliver, perProcess, priorities };
  const service = workerService(host, given);
  const delivers = queues.includes(standardQueues.jobs);
  return {
    life: app,
    service: withManifest(host, manifestOf(app), delivers, closing(service, close)),
  };
}

/** One provider alone is not parked: its failures park the queue. */
function several(providers: readonly string[]): readonly string[] {
  return providers.length > 1 ? providers : [];
}
