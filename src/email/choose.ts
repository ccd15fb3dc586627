// Creates the email providers: those that the configuration names, else the application's own, else `log`.

import type { Executor } from '../db/executor.ts';
import type { Milliseconds } from '../ports.ts';
import { WaybillError } from '../errors.ts';
import { smtpName } from '../smtp/name.ts';
import { createInboxProvider } from './inbox.ts';
import { createLogProvider } from './log.ts';
import { createMailgunProvider, type MailgunOptions } from './mailgun/mailgun.ts';
import { ownProvider } from './own-provider.ts';
import { createPostmarkProvider, type PostmarkOptions } from './postmark/postmark.ts';
import type { EmailProvider, ProviderLog } from './provider.ts';
import { createResendProvider } from './resend/resend.ts';
import { createSendgridProvider, type SendgridOptions } from './sendgrid/sendgrid.ts';
import { createSesProvider, type SesOptions } from './ses/ses.ts';
import { createSmtpProvider } from './smtp/smtp.ts';

export type ProviderName = 'log' | 'smtp' | 'resend' | 'postmark' | 'sendgrid' | 'ses' | 'mailgun' | 'inbox';

type Settings<T> = Omit<T, 'leaseMs'> | null;

export type ProviderOptions = {
  readonly smtpUrl: string | null;
  /** The most connections of one process. */
  readonly smtpConnections?: number;
  /** Null: not set. */
  readonly smtpName?: string | null;
  /** The default sender. */
  readonly emailFrom?: string | null;
  readonly resendApiKey: string | null;
  readonly resendBaseUrl: string;
  /** The settings of the other providers with HTTP APIs; null: not complete. */
  readonly postmark?: Settings<PostmarkOptions>;
  readonly sendgrid?: Settings<SendgridOptions>;
  readonly ses?: Settings<SesOptions>;
  readonly mailgun?: Settings<MailgunOptions>;
  readonly leaseMs: Milliseconds;
  readonly production: boolean;
};

export type ProviderPorts = {
  readonly log: ProviderLog;
  readonly db: Executor;
};

/** The configured provider, and those that stand behind it. */
export type Providers = readonly [EmailProvider, ...EmailProvider[]];

/** @param own the application's provider, for when the configuration names none */
export function createProviders(
  options: ProviderOptions & { readonly emailProviders: readonly ProviderName[] },
  ports: ProviderPorts,
  own?: EmailProvider,
): Providers {
  const [first, ...others] = options.emailProviders;
  if (first === undefined) return [own ? ownProvider(own) : createProvider('log', options, ports)];
  return [
    createProvider(first, options, ports),
    ...others.map((name) => createProvider(name, options, ports)),
  ];
}

export function createProvider(
  name: ProviderName,
  options: ProviderOptions,
  { log, db }: ProviderPorts,
): EmailProvider {
  const { resendApiKey, resendBaseUrl, leaseMs, production } = options;
  const { postmark, sendgrid, ses, mailgun } = options;
  switch (name) {
    case 'log':
      return createLogProvider({ production, log });
    case 'inbox':
      return createInboxProvider({ db, production, log });
    case 'smtp':
      return chosenSmtp(options, log);
    case 'resend':
      if (resendApiKey === null)
        throw new WaybillError('resend_api_key_required', 'the provider resend needs RESEND_API_KEY');
      return createResendProvider({ apiKey: resendApiKey, baseUrl: resendBaseUrl, leaseMs });
    case 'postmark':
      return createPostmarkProvider({ ...given(postmark, 'POSTMARK_SERVER_TOKEN'), leaseMs });
    case 'sendgrid':
      return createSendgridProvider({ ...given(sendgrid, 'SENDGRID_API_KEY'), leaseMs });
    case 'ses':
      return createSesProvider({
        ...given(ses, 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION'),
        leaseMs,
      });
    case 'mailgun':
      return createMailgunProvider({ ...given(mailgun, 'MAILGUN_API_KEY and MAILGUN_DOMAIN'), leaseMs });
  }
}

function given<T>(settings: T | null | undefined, variables: string): T {
  if (settings) return settings;
  throw new WaybillError('email_key_required', `the chosen email provider needs ${variables}`);
}

function chosenSmtp(
  { smtpUrl, smtpConnections, smtpName: name, emailFrom, leaseMs }: ProviderOptions,
  log: ProviderLog,
): EmailProvider {
  if (smtpUrl === null)
    throw new WaybillError(
      'smtp_url_required',
      'the provider smtp needs SMTP_URL: smtp://user:password@host:587',
    );
  return createSmtpProvider({
    url: smtpUrl,
    leaseMs,
    name: smtpName(name ?? null, emailFrom ?? null),
    log,
    ...(smtpConnections !== undefined && { connections: smtpConnections }),
  });
}
