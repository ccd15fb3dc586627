// A drain with the configuration's settings, for web's route and for the command.

import type { App } from '../define/app.ts';
import { createRegistry, standardQueues } from '../define/registry.ts';
import type { DrainOptions } from '../drain/options.ts';
import { withNotices } from '../notice/job.ts';
import type { Host } from '../process/host.ts';
import { configuredMailing } from './mailing.ts';
import { outboxOf } from './role.ts';

type DrainPorts = Pick<Host, 'config' | 'db' | 'handlers' | 'log'> & { readonly workerId: string };

/** @returns `close` closes the connections of the email providers; `process` is for drainOutbox */
export function configuredDrain(app: App, { config, db, handlers, log, workerId }: DrainPorts) {
  const { close, failover, unsure, ...mailing } = configuredMailing(app, config, { db, log, workerId });
  const options: DrainOptions = {
    log,
    workerId,
    pool: handlers,
    outbox: outboxOf(config)(db),
    registry: createRegistry(withNotices(app, config.notice)),
    payloadKeys: config.payloadKeys,
    webhookAllow: config.webhookAllow,
    leaseMs: config.leaseMs,
    concurrency: Math.min(config.concurrency, 10),
    // With a rate, only the fleet's workers send: they book permits when they claim.
    email: config.emailRate === null ? { ...mailing, from: config.emailFrom ?? undefined } : undefined,
  };
  const { queues } = options.registry;
  return {
    options,
    process: { mailing: { failover, unsure }, database: config.database },
    queues: options.email ? [...queues, standardQueues.email] : queues,
    close,
  };
}
