// The provider that the configuration names, else the application's own, else `log`.

import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../outbox/errors.ts';
import { createLogProvider } from './log.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { createResendProvider } from './resend.ts';
import { createSmtpProvider } from './smtp.ts';

export type ProviderOptions = {
  /** Null: not set. */
  readonly emailProvider: 'log' | 'smtp' | 'resend' | null;
  readonly smtpUrl: string | null;
  readonly resendApiKey: string | null;
  readonly resendBaseUrl: string;
  readonly leaseMs: Milliseconds;
  readonly production: boolean;
};

/** @param own the application's provider */
export function createProvider(
  { emailProvider, smtpUrl, resendApiKey, resendBaseUrl, leaseMs, production }: ProviderOptions,
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
    case 'resend':
      if (resendApiKey === null)
        throw new WaybillError('resend_api_key_required', 'the provider resend needs RESEND_API_KEY');
      return createResendProvider({ apiKey: resendApiKey, baseUrl: resendBaseUrl, leaseMs });
  }
}
