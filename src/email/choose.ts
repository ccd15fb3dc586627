// The provider that the configuration names.

import { WaybillError } from '../outbox/errors.ts';
import type { Milliseconds } from '../ports.ts';
import { createLogProvider } from './log.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { createSmtpProvider } from './smtp.ts';

export type ProviderOptions = {
  readonly emailProvider: 'log' | 'smtp';
  readonly smtpUrl: string | null;
  readonly leaseMs: Milliseconds;
  readonly production: boolean;
};

export function createProvider(options: ProviderOptions, log: ProviderLog): EmailProvider {
  const { emailProvider, smtpUrl, leaseMs, production } = options;
  if (emailProvider === 'log') return createLogProvider({ production, log });
  if (smtpUrl === null)
    throw new WaybillError(
      'smtp_url_required',
      'the provider smtp needs SMTP_URL: smtp://user:password@host:587',
    );
  return createSmtpProvider({ url: smtpUrl, leaseMs });
}
