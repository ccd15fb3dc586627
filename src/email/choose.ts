// The provider that the configuration names, else the application's own, else `log`.

import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../outbox/errors.ts';
import { createLogProvider } from './log.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { createSmtpProvider } from './smtp.ts';

export type ProviderOptions = {
  /** Null: not set. */
  readonly emailProvider: 'log' | 'smtp' | null;
  readonly smtpUrl: string | null;
  readonly leaseMs: Milliseconds;
  readonly production: boolean;
};

/** @param own the application's provider */
export function createProvider(
  { emailProvider, smtpUrl, leaseMs, production }: ProviderOptions,
  log: ProviderLog,
  own?: EmailProvider,
): EmailProvider {
  switch (emailProvider) {
    case null:
      return own ?? createLogProvider({ production, log });
    case 'log':
      return createLogProvider({ production, log });
    case 'smtp':
      if (smtpUrl === null)
        throw new WaybillError(
          'smtp_url_required',
          'the provider smtp needs SMTP_URL: smtp://user:password@host:587',
        );
      return createSmtpProvider({ url: smtpUrl, leaseMs });
  }
}
