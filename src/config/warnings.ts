// Warnings about a configuration: allowed but not recommended settings. They do not prevent a start, and are shown wherever the configuration is
// checked, and when a process starts.

import { readPostgresUrl } from '../db/url.ts';
import type { Config } from './config.ts';

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
    ...tls('DATABASE_URL', config.databaseUrl),
    ...(config.queueDatabaseUrl === config.databaseUrl
      ? []
      : tls('QUEUE_DATABASE_URL', config.queueDatabaseUrl)),
  ];
}

function keysMissing({ production, apiKey, adminKey }: Config): Warning[] {
  if (!production) return [];
  const keys = [
    ['WAYBILL_API_KEY', apiKey, 'actions with access authenticated refuse every caller'],
    ['WAYBILL_ADMIN_KEY', adminKey, 'the admin API refuses every caller'],
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

function tls(variable: string, url: string): Warning[] {
  const read = readPostgresUrl(url);
  if ('problem' in read) return [];
  const mode = read.sslmode;
  const isInClear = mode === undefined || ['disable', 'false', '0'].includes(mode);
  if (isInClear && read.isLocal) return [];
  if (isInClear)
    return [
      {
        code: 'connection_in_clear',
        variable,
        message: `${variable} has ${mode === undefined ? 'no sslmode' : 'TLS turned off'}: the password and every message cross the network to ${read.host} in clear`,
        fix: 'sslmode=verify-full, with sslrootcert where the provider publishes its certificate; in production sslmode must be written out',
      },
    ];
  if (mode === 'no-verify')
    return [
      {
        code: 'certificate_unchecked',
        variable,
        message:
          'sslmode=no-verify: the connection is encrypted, but whoever answers is taken for the database',
        fix: 'sslmode=verify-full with sslrootcert, where the provider publishes its certificate',
      },
    ];
  if (mode !== 'require' || read.parameters.get('uselibpqcompat') === 'true') return [];
  return [
    {
      code: 'sslmode_strict',
      variable,
      message:
        'sslmode=require: here it means verify-full, so a certificate that the provider signed itself is refused',
      fix: 'sslmode=verify-full says what happens; uselibpqcompat=true&sslmode=require encrypts without checking, as psql does',
    },
  ];
}
