// A drain with the configuration's settings, for web's route and for the command.

import type { Database } from '../db/pool.ts';
import type { App } from '../define/app.ts';
import { createRegistry, standardQueues } from '../define/registry.ts';
import type { DrainOptions } from '../drain/options.ts';
import type { Log } from '../metrics/log.ts';
import { withNotices } from '../notice/job.ts';
import type { Config } from '../config/config.ts';
import { configuredMailing } from './mailing.ts';
import { outboxOf } from './role.ts';

export type ConfiguredDrain = {
  readonly options: DrainOptions;
  readonly queues: readonly string[];
  /** Closes the email provider's connections. */
  close(): Promise<void>;
};

export type DrainPorts = {
  readonly config: Config;
  readonly db: Database;
  /** For the transactions of handlers. */
  readonly handlers: Database;
  readonly log: Log;
  readonly workerId: string;
};

export function configuredDrain(
  app: App,
  { config, db, handlers, log, workerId }: DrainPorts,
): ConfiguredDrain {
  const { close, ...mailing } = configuredMailing(app, config, db, log);
  const options: DrainOptions = {
    log,
    workerId,
    pool: handlers,
    outbox: outboxOf(config)(db),
    registry: createRegistry(withNotices(app, config.notice)),
    leaseMs: config.leaseMs,
    concurrency: Math.min(config.concurrency, 10),
    // With a rate, only the fleet's workers send: they book permits when they claim.
    email: config.emailRate === null ? { ...mailing, from: config.emailFrom ?? undefined } : undefined,
  };
  const { queues } = options.registry;
  return { options, queues: options.email ? [...queues, standardQueues.email] : queues, close };
}
