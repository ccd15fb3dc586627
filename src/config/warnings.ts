// Warnings about a configuration: allowed but not recommended settings. They do not prevent a start, and are shown wherever the configuration is
// checked, and when a process starts.

import type { Config } from './config.ts';
import { databaseUrls } from './databases.ts';

export type Warning = {
  /** Stable, in snake case. */
  readonly code: string;
  readonly variable: string;
  readonly message: string;
  readonly fix: string;
};

export function warningsOf(config: Config): Warning[] {
  return [
    ...keysMissing(config),
    ...databaseUrls(config).flatMap(tls),
    ...rateOfEach(config),
    ...connectionsOfEach(config),
  ];
}

/** A rate is kept by a queue, so by a database. */
function rateOfEach({ emailRate, databases }: Config): Warning[] {
  if (emailRate === null || databases.length < 2) return [];
  return [
    {
      code: 'rate_of_each_database',
      variable: 'WAYBILL_EMAIL_RATE',
      message: `WAYBILL_EMAIL_RATE holds for each of the ${databases.length} databases: together they send up to ${emailRate * databases.length} emails a second`,
      fix: `where the provider counts all of them, set it to ${emailRate / databases.length}`,
    },
  ];
}

/** The connections to the mail server are shared out between the databases of a process, and none gets less than one. */
function connectionsOfEach({ emailProviders, smtpConnections, databases, database }: Config): Warning[] {
  const least = database === null ? databases.length : 1;
  if (!emailProviders.includes('smtp') || smtpConnections >= least) return [];
  return [
    {
      code: 'smtp_connections_of_each_database',
      variable: 'WAYBILL_SMTP_CONNECTIONS',
      message: `WAYBILL_SMTP_CONNECTIONS is ${smtpConnections}, and a process that serves ${least} databases opens one connection for each: up to ${least}`,
      fix: `set it to ${least} or more, or let WAYBILL_DATABASE narrow the processes`,
    },
  ];
}

function keysMissing({ production, apiKey, adminKeys }: Config): Warning[] {
  if (!production) return [];
  const keys = [
    ['WAYBILL_API_KEY', apiKey, 'actions with access authenticated refuse every caller'],
    ['WAYBILL_ADMIN_KEY', adminKeys[0] ?? null, 'the admin API refuses every caller'],
  ] as const;
  return keys
    .filter(([, key]) => key === null)
    .map(([variable, , effect]) => ({
      code: 'key_missing',
      variable,
      message: `${variable} is not set in production: ${effect}`,
      fix: `set ${variable} to at least 32 random characters`,
    }));
}

function tls({ variable, url }: ReturnType<typeof databaseUrls>[number]): Warning[] {
  const mode = url.sslmode;
  const isInClear = mode === undefined || ['disable', 'false', '0'].includes(mode);
  const insecure = (code: string, message: string, fix: string): Warning[] => [
    { code, variable, message, fix },
  ];
  if (isInClear && url.isLocal) return [];
  if (isInClear)
    return insecure(
      'connection_in_clear',
      `${variable} has ${mode === undefined ? 'no sslmode' : 'TLS turned off'}: the password and every message cross the network to ${url.host} in clear`,
      'sslmode=verify-full, with sslrootcert where the provider publishes its certificate; in production sslmode must be written out',
    );
  if (mode === 'no-verify')
    return insecure(
      'certificate_unchecked',
      'sslmode=no-verify: the connection is encrypted, but whoever answers is taken for the database',
      'sslmode=verify-full with sslrootcert, where the provider publishes its certificate',
    );
  if (mode !== 'require' || url.parameters.get('uselibpqcompat') === 'true') return [];
  return insecure(
    'sslmode_strict',
    'sslmode=require: here it means verify-full, so a certificate that the provider signed itself is refused',
    'sslmode=verify-full says what happens; uselibpqcompat=true&sslmode=require encrypts without checking, as psql does',
  );
}
