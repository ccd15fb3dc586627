// How a process sends mail, according to the configuration and the application.

import { randomUUID } from 'node:crypto';
import type { Executor } from '../db/executor.ts';
import type { App } from '../define/app.ts';
import { batchingOf } from '../delivery/batching.ts';
import { createBatchPlans } from '../email/batch-plan.ts';
import { createProviders } from '../email/choose.ts';
import { createGuard } from '../email/guard.ts';
import type { ProviderLog } from '../email/provider.ts';
import { createSuppressed } from '../email/suppression.ts';
import type { Config } from '../config/config.ts';

/** @returns `close` closes the provider's connections */
export function configuredMailing(app: App, config: Config, db: Executor, log: ProviderLog) {
  const [provider] = createProviders(config, { log, db }, app.email.provider);
  const batching = batchingOf(provider, {
    plans: createBatchPlans(db),
    emailFrom: config.emailFrom,
    newBatch: randomUUID,
  });
  return {
    provider,
    ...(batching && { batching }),
    allowed: createGuard(config.emailAllow),
    suppressed: createSuppressed(db),
    close: async () => provider.close?.(),
  };
}
