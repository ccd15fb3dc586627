// The inspection of the email path: whether the provider accepts us. Nothing is sent.

import type { Executor } from '../db/executor.ts';
import type { App } from '../define/app.ts';
import { failureOf } from '../delivery/failure.ts';
import { createProviders } from '../email/choose.ts';
import type { EmailProvider } from '../email/provider.ts';
import { signingProblem } from '../email/ses/signing.ts';
import type { Milliseconds } from '../ports.ts';
import type { Config } from '../config/config.ts';
import { problem, warning, type Finding } from '../scaffold/finding.ts';
import { smtpName } from '../smtp/name.ts';
import { isLoopback, readSmtpUrl } from '../smtp/server.ts';

const timeout: Milliseconds = 10_000;

/** Only the inbox uses a database, and it has nothing to verify. */
const unasked: Executor = {
  executeSql: () => Promise.reject(new Error('nothing is sent while it is inspected')),
};

/** One line without secrets. */
export function wayOfMail(config: Config, app: App | null): string {
  const names = config.emailProviders;
  if (names.length === 0) return `mail: ${app?.email.provider?.name ?? 'log'}`;
  return `mail: ${names.map((name) => (name === 'smtp' ? wayOfSmtp(config) : name)).join(', else ')}`;
}

function wayOfSmtp({ smtpUrl, smtpConnections, smtpName: name, emailFrom }: Config): string {
  if (smtpUrl === null) return 'smtp';
  const { host, port, secure, tls, login } = readSmtpUrl(smtpUrl);
  const cipher = secure
    ? 'TLS'
    : { required: 'STARTTLS', opportunistic: 'STARTTLS if it is offered', off: 'in clear' }[tls];
  const greeting = `greeted as ${smtpName(name, emailFrom)}`;
  return `smtp over ${host}:${port}, ${cipher}, ${login ? 'with a login' : 'without a login'}, ${greeting}, ${smtpConnections} connections`;
}

/** Mail may go over a network unencrypted, and the configuration does not choose that. */
function clearFindings({ emailProviders, smtpUrl }: Config): Finding[] {
  if (!emailProviders.includes('smtp') || smtpUrl === null) return [];
  const { host, secure, tls, tlsChosen } = readSmtpUrl(smtpUrl);
  if (secure || tls !== 'opportunistic' || tlsChosen || isLoopback(host)) return [];
  return [
    {
      code: 'email_in_clear',
      severity: 'warning',
      message:
        'SMTP_URL has no login: where the server offers no STARTTLS, mail goes over the network in clear',
      fix: 'write ?tls=required at its end to insist on TLS, or ?tls=opportunistic when it is meant',
    },
  ];
}

/**
 * A package that the chosen provider needs, as the catalogue of variables reports problems.
 * @param ofSigning tests double it
 */
export function packageProblems(
  { emailProviders }: Pick<Config, 'emailProviders'>,
  ofSigning = signingProblem,
): { readonly variable: string; readonly message: string }[] {
  const message = emailProviders.includes('ses') ? ofSigning() : undefined;
  return message === undefined ? [] : [{ variable: 'WAYBILL_EMAIL_PROVIDER', message }];
}

/** For `check` and `doctor`. */
export const inspectPackages = (
  config: Pick<Config, 'emailProviders'>,
  ofSigning = signingProblem,
): Finding[] =>
  packageProblems(config, ofSigning).map(({ message }) => problem('email_package_missing', message));

export async function inspectMail(
  config: Config,
  app: App | null,
  ofSigning = signingProblem,
): Promise<Finding[]> {
  const missing = inspectPackages(config, ofSigning);
  if (missing.length > 0) return missing;
  const notices: string[] = [];
  const hear = (_: object, message: string): void => void notices.push(message);
  const providers = createProviders(
    config,
    { log: { info: hear, warn: hear }, db: unasked },
    app?.email.provider,
  );
  const unsent = notices.map((message) => warning('email_not_sent', message));
  const refusals = await Promise.all(providers.map(verified));
  return [...unsent, ...clearFindings(config), ...refusals.flat()];
}

async function verified(provider: EmailProvider): Promise<Finding[]> {
  try {
    await provider.verify?.(AbortSignal.timeout(timeout));
    return [];
  } catch (error) {
    const { type, message } = failureOf(error);
    const fix = 'the provider is tried again with `waybill email test ADDRESS`';
    const found =
      type === 'transient'
        ? warning('email_provider_unreachable', message, { fix })
        : problem('email_provider_refuses', message, { fix });
    return [found];
  } finally {
    await provider.close?.();
  }
}
