// How mail goes out of a process, as the configuration and the application want it.

import type { Executor } from '../db/executor.ts';
import type { App } from '../define/app.ts';
import type { Mailing } from '../delivery/email.ts';
import { createProvider } from '../email/choose.ts';
import { createGuard } from '../email/guard.ts';
import type { ProviderLog } from '../email/provider.ts';
import { createSuppressed } from '../email/suppression.ts';
import type { Config } from '../process/config.ts';

export type ConfiguredMailing = Mailing & {
  /** Ends what the provider holds open. */
  close(): Promise<void>;
};

export function configuredMailing(
  app: App,
  config: Config,
  db: Executor,
  log: ProviderLog,
): ConfiguredMailing {
  const provider = createProvider(config, { log, db }, app.email.provider);
  return {
    provider,
    allowed: createGuard(config.emailAllow),
    suppressed: createSuppressed(db),
    close: async () => provider.close?.(),
  };
}
