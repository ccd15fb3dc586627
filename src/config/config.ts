// Reads the environment into a Config, once, and reports every problem at once. The environment is passed as a value and not changed.

import { nearest } from '../nearest.ts';
import type { Milliseconds } from '../ports.ts';
import { reportEqualKeys, type AdminKey, type Report } from './admin-keys.ts';
import { readDatabases, reportClearText, reportDatabases, type NamedDatabase } from './databases.ts';
import { providerKey, readEmailApis, type EmailApis } from './email-apis.ts';
import type { PayloadKeys } from '../message/seal.ts';
import { readProviders, reportMissing, type EmailProviderName } from './provider-list.ts';
import { reader, type Problem } from './variables.ts';

const queueBackends = ['postgres', 'cockroachdb', 'yugabytedb', 'citus'] as const;
/** Values that people write by mistake for NODE_ENV. */
const shortForms = {
  prod: 'production',
  live: 'production',
  staging: 'production',
  dev: 'development',
  testing: 'test',
};
const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export type Config = EmailApis & {
  /** All databases of the fleet; empty when there is only DATABASE_URL. */
  readonly databases: readonly NamedDatabase[];
  /** The one of them that this configuration is of; null: there is only DATABASE_URL, or `eachDatabase` has not chosen yet. */
  readonly database: string | null;
  readonly databaseUrl: string;
  readonly queueDatabaseUrl: string;
  readonly queueBackend: (typeof queueBackends)[number];
  readonly app: string;
  readonly port: number;
  readonly metricsPort: number | null;
  /** The address on which web listens; null: all addresses. */
  readonly host: string | null;
  /** Host names, beside localhost, under which pages without a key are shown. */
  readonly knownHosts: readonly string[];
  readonly apiKey: string | null;
  /** Of /admin and the console; several, for people and for rotation. */
  readonly adminKeys: readonly AdminKey[];
  readonly metricsKey: string | null;
  readonly cronSecret: string | null;
  /** The first open one gets the mail. Empty when not set: then the application's own, or `log`. */
  readonly emailProviders: readonly EmailProviderName[];
  readonly emailFrom: string | null;
  readonly smtpUrl: string | null;
  /** Per process. */
  readonly smtpConnections: number;
  /** For greeting the mail server; null: not set. */
  readonly smtpName: string | null;
  readonly resendApiKey: string | null;
  /** Without a trailing slash. */
  readonly resendBaseUrl: string;
  readonly resendWebhookSecret: string | null;
  /** The receiver of notices for operators; null: none. */
  readonly notice: { readonly url: string; readonly secret: string } | null;
  /** Messages per second over the whole fleet. */
  readonly emailRate: number | null;
  /** The only recipients of mail outside production; null: all. */
  readonly emailAllow: readonly string[] | null;
  readonly concurrency: number;
  /** Maximum number of connections that one process opens to the database; null: by its role and the server's limit. */
  readonly poolMax: number | null;
  readonly queues: readonly string[] | null;
  /** Hosts, addresses and ranges that webhooks may go to although they are not public. */
  readonly webhookAllow: readonly string[];
  /** Webhooks that one process sends at a time, beside its other work. */
  readonly webhookConcurrency: number;
  readonly leaseMs: Milliseconds;
  readonly pollIntervalMs: Milliseconds;
  readonly maxPayloadBytes: number;
  /** The first seals payloads of sensitive messages, all open them. */
  readonly payloadKeys: PayloadKeys;
  readonly deliveredRetentionMs: Milliseconds;
  readonly deadRetentionMs: Milliseconds;
  readonly auditRetentionMs: Milliseconds;
  readonly keyRetentionMs: Milliseconds;
  readonly cronRetentionMs: Milliseconds;
  readonly shutdownGraceMs: Milliseconds;
  /** A process that is stalled for this long ends itself. */
  readonly stallLimitMs: Milliseconds;
  readonly logLevel: string;
  readonly production: boolean;
};

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    const lines = problems.map(({ variable, message }) => `  ${variable}: ${message}`);
    super(`The configuration is wrong:\n${lines.join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads the variables of the documentation's table. An empty one counts as not set.
 * @throws ConfigError with all problems
 */
// oxlint-disable-next-line max-lines-per-function -- one entry for each variable of the configuration
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: Problem[] = [];
  const report: Report = (variable, message) => void problems.push({ variable, message });
  const read = reader(env, report);
  const databases = readDatabases('WAYBILL_DATABASES', read.text('WAYBILL_DATABASES'), report);
  const database = read.text('WAYBILL_DATABASE') ?? null;
  const alone = read.postgresUrl('DATABASE_URL') ?? '';
  const databaseUrl = (databases.find(({ name }) => name === database) ?? databases[0])?.url ?? alone;
  const production =
    read.choice('NODE_ENV', ['production', 'development', 'test'], 'development', shortForms) ===
    'production';
  read.timeZone('TZ');
  const keyLength = production ? 32 : 1;
  const secretBytes = production ? 24 : 1; // Standard Webhooks: 24 to 64
  const emailProviders = readProviders(read.text('WAYBILL_EMAIL_PROVIDER'), report);
  const config: Config = {
    databases,
    database,
    databaseUrl,
    queueDatabaseUrl: read.postgresUrl('QUEUE_DATABASE_URL') ?? databaseUrl,
    queueBackend: read.choice('WAYBILL_QUEUE_BACKEND', queueBackends, 'postgres'),
    app: read.text('WAYBILL_APP') ?? 'app/index.ts',
    port: read.integer('PORT', 3000, 0, 65_535),
    metricsPort: read.isSet('METRICS_PORT') ? read.integer('METRICS_PORT', 0, 0, 65_535) : null,
    host: read.host('HOST'),
    knownHosts: read.hosts('WAYBILL_HOSTS'),
    apiKey: read.key('WAYBILL_API_KEY', keyLength),
    adminKeys: [
      ...read.adminKey('WAYBILL_ADMIN_KEY', keyLength),
      ...read.adminKeys('WAYBILL_ADMIN_KEYS', keyLength),
    ],
    metricsKey: read.key('WAYBILL_METRICS_KEY', keyLength),
    cronSecret: read.key('WAYBILL_CRON_SECRET', keyLength),
    emailProviders,
    emailFrom: read.sender('WAYBILL_EMAIL_FROM'),
    smtpUrl: read.smtpUrl('SMTP_URL'),
    smtpConnections: read.integer('WAYBILL_SMTP_CONNECTIONS', 5, 1, 100),
    smtpName: read.smtpName('WAYBILL_SMTP_NAME'),
    resendApiKey: providerKey(read, report, 'RESEND_API_KEY'),
    resendBaseUrl: read.webUrl('RESEND_BASE_URL') ?? 'https://api.resend.com',
    resendWebhookSecret: read.signingSecret('RESEND_WEBHOOK_SECRET', secretBytes),
    ...readEmailApis(read, report, keyLength, (name) => emailProviders.includes(name)),
    notice: noticeOf(read, secretBytes),
    emailRate: read.rate('WAYBILL_EMAIL_RATE'),
    emailAllow: read.list(
      'WAYBILL_EMAIL_ALLOW',
      /^(?:[^\s@<>]*@)?[^\s@<>]+$/,
      'addresses or domains, with commas between them',
    ),
    webhookAllow: read.receivers('WAYBILL_WEBHOOK_ALLOW'),
    webhookConcurrency: read.integer('WAYBILL_WEBHOOK_CONCURRENCY', 200, 1, 2_000),
    concurrency: read.integer('WAYBILL_CONCURRENCY', 25, 1, 500),
    poolMax: read.integer('WAYBILL_POOL_MAX', null, 3, 500),
    queues: read.list(
      'WAYBILL_QUEUES',
      /^[A-Za-z0-9._-]{1,100}$/,
      "names of letters, digits, '.', '_' or '-', with commas between them",
    ),
    leaseMs: read.duration('WAYBILL_LEASE', '15s', '1s', '1h'),
    pollIntervalMs: read.duration('WAYBILL_POLL_INTERVAL', '1s', '50ms', '1m'),
    payloadKeys: read.payloadKeys('WAYBILL_PAYLOAD_KEYS'),
    maxPayloadBytes: read.integer('WAYBILL_MAX_PAYLOAD_BYTES', 262_144, 1_024, 10_485_760),
    deliveredRetentionMs: read.duration('WAYBILL_DELIVERED_RETENTION', '7d', '1m', '3650d'),
    deadRetentionMs: read.duration('WAYBILL_DEAD_RETENTION', '30d', '1m', '3650d'),
    auditRetentionMs: read.duration('WAYBILL_AUDIT_RETENTION', '365d', '1d', '3650d'),
    keyRetentionMs: read.duration('WAYBILL_KEY_RETENTION', '90d', '1m', '3650d'),
    cronRetentionMs: read.duration('WAYBILL_CRON_RETENTION', '30d', '1m', '3650d'),
    shutdownGraceMs: read.duration('WAYBILL_SHUTDOWN_GRACE', '20s', '1s', '10m'),
    stallLimitMs: read.duration('WAYBILL_STALL_LIMIT', '1m', '2s', '1d'),
    logLevel: read.choice('LOG_LEVEL', logLevels, 'info', { verbose: 'debug' }),
    production,
  };
  reportDatabases(databases, database, env, report);
  reportContradictions(config, read.isSet, problems, report);
  if (production && !env['PGSSLMODE']) reportClearText(config, report);
  read.unknown('WAYBILL_', (name, known) => {
    const meant = nearest(name, known);
    if (meant) report(name, `is not known; was ${meant} meant?`);
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Both or neither: a receiver could not verify notices without a secret. */
function noticeOf(read: ReturnType<typeof reader>, secretBytes: number): Config['notice'] {
  const url = read.webUrl('WAYBILL_NOTICE_URL');
  const secret = read.signingSecret('WAYBILL_NOTICE_SECRET', secretBytes);
  return url !== null && secret !== null ? { url, secret } : null;
}

const noticePair = ['WAYBILL_NOTICE_URL', 'WAYBILL_NOTICE_SECRET'];

/** Problems of variables that are valid only alone. A variable that is wrong itself is not reported twice. */
function reportContradictions(
  config: Config,
  isSet: (variable: string) => boolean,
  found: readonly Problem[],
  report: Report,
): void {
  const { emailProviders, pollIntervalMs, leaseMs } = config;
  const isWrong = (variable: string): boolean => found.some((problem) => problem.variable === variable);
  reportMissing(emailProviders, isSet, report);
  for (const [one, other] of [noticePair, noticePair.toReversed()] as const)
    if (isSet(one!) && !isSet(other!)) report(other!, `is required when ${one} is set`);
  if (config.production && config.emailAllow !== null)
    report(
      'WAYBILL_EMAIL_ALLOW',
      'is not for production, where it would keep mail from its recipients: unset it',
    );
  reportEqualKeys(config, report);
  if (pollIntervalMs > leaseMs && !isWrong('WAYBILL_POLL_INTERVAL') && !isWrong('WAYBILL_LEASE'))
    report(
      'WAYBILL_POLL_INTERVAL',
      `is ${pollIntervalMs} ms, longer than WAYBILL_LEASE with ${leaseMs} ms: it must not be`,
    );
}
