// How a process sends mail, according to the configuration and the application.

import { randomUUID } from 'node:crypto';
import type { Executor } from '../db/executor.ts';
import type { App } from '../define/app.ts';
import { batchingOf } from '../delivery/batching.ts';
import type { Failover } from '../delivery/failover.ts';
import type { Way } from '../delivery/send.ts';
import { createBatchPlans } from '../email/batch-plan.ts';
import { createProviders } from '../email/choose.ts';
import { createGuard } from '../email/guard.ts';
import { createHandovers, createUnsure } from '../email/handovers.ts';
import type { EmailProvider, ProviderLog } from '../email/provider.ts';
import { createSuppressed } from '../email/suppression.ts';
import type { Config } from '../config/config.ts';
import { createProviderParking, type ProviderNews } from '../queues/providers.ts';

export type MailingPorts = {
  readonly db: Executor;
  readonly log: ProviderLog;
  readonly workerId: string;
};

/** The most time in which a probe of a provider calls its `verify`. */
const longestVerify = 5_000;

/** @returns `close` closes the connections of the providers */
export function configuredMailing(app: App, config: Config, { db, log, workerId }: MailingPorts) {
  const providers = createProviders(config, { log, db }, app.email.provider);
  const wayOf = (provider: EmailProvider): Way => {
    const plans = createBatchPlans(db, provider.name);
    const batching = batchingOf(provider, { plans, emailFrom: config.emailFrom, newBatch: randomUUID });
    return { provider, ...(batching && { batching }) };
  };
  const ways = providers.map(wayOf);
  const names = providers.map(({ name }) => name);
  const failover: Failover | undefined =
    ways.length === 1
      ? undefined
      : {
          ways,
          worker: workerId,
          verifyMs: Math.min(longestVerify, Math.floor(config.leaseMs / 3)),
          handovers: createHandovers(db, names),
          parking: createProviderParking(db, names, { news: newsOf(log), probeMs: 2 * config.leaseMs }),
          onError: (err) =>
            log.warn({ err }, 'an acceptance could not be noted for its provider; the next one is'),
        };
  return {
    provider: providers[0],
    batching: ways[0]!.batching,
    failover,
    // The application's own provider cannot be part of a list.
    unsure: config.emailProviders.length === 1 ? createUnsure(db) : undefined,
    allowed: createGuard(config.emailAllow),
    suppressed: createSuppressed(db),
    close: async () => void (await Promise.all(providers.map(async (provider) => provider.close?.()))),
  };
}

function newsOf(log: ProviderLog): ProviderNews {
  return {
    parked: (provider, reason) =>
      log.warn(
        { provider, reason },
        'the email provider is parked for the whole fleet: mails go by the next one',
      ),
    probeFailed: (provider, reason, nextMs) =>
      log.info({ provider, reason, nextMs }, 'a probe of the email provider failed, it stays parked'),
    reopened: (provider) => log.info({ provider }, 'the email provider works again, mails go by it'),
  };
}
