// The catalogue of all configuration variables, with the texts for people. config.ts has the rules for reading them. A test compares both with
// docs/configuration.md.

import { hideSecrets } from '../redaction/redact.ts';
import { emailVariables, type Variable } from './email-catalogue.ts';
import { secretParameter } from '../redaction/secrets.ts';

export const variables: readonly Variable[] = [
  {
    name: 'DATABASE_URL',
    default: null,
    secret: 'url',
    meaning: "the application's Postgres; required without WAYBILL_DATABASES",
  },
  {
    name: 'WAYBILL_DATABASES',
    default: null,
    secret: 'url',
    meaning: 'name=url, with commas between them: one fleet serves several databases',
  },
  {
    name: 'WAYBILL_DATABASE',
    default: null,
    meaning: 'the only one of them that this process or command serves; default: all',
  },
  {
    name: 'QUEUE_DATABASE_URL',
    default: null,
    secret: 'url',
    meaning: "pg-boss's Postgres, when it is another one",
  },
  {
    name: 'WAYBILL_QUEUE_BACKEND',
    default: 'postgres',
    meaning: "pg-boss's backend: postgres, cockroachdb, yugabytedb, citus",
  },
  {
    name: 'WAYBILL_APP',
    default: 'app/index.ts',
    meaning: 'module whose default export is the application, from defineApp',
  },
  { name: 'PORT', default: '3000', meaning: "web's port; 0 is any free one" },
  {
    name: 'HOST',
    default: null,
    meaning: 'what web listens on; all addresses, in dev and demo localhost',
  },
  {
    name: 'WAYBILL_HOSTS',
    default: null,
    meaning: 'names beside localhost under which pages without a key are shown (the inbox)',
  },
  { name: 'METRICS_PORT', default: null, meaning: 'health and metrics of the other processes' },
  {
    name: 'WAYBILL_API_KEY',
    default: null,
    secret: 'key',
    meaning: 'bearer key that makes a caller authenticated',
  },
  {
    name: 'WAYBILL_ADMIN_KEY',
    default: null,
    secret: 'key',
    meaning: 'bearer key of /admin; without any admin key /admin answers 503',
  },
  {
    name: 'WAYBILL_ADMIN_KEYS',
    default: null,
    secret: 'key',
    meaning: 'keys of people and programs: name:role:key, with commas between them',
  },
  {
    name: 'WAYBILL_CRON_SECRET',
    default: null,
    secret: 'key',
    meaning: 'bearer key of the drain route; without it that route answers 503',
  },
  {
    name: 'WAYBILL_METRICS_KEY',
    default: null,
    secret: 'key',
    meaning: 'bearer key of /metrics, when it is to be closed',
  },
  ...emailVariables,
  {
    name: 'WAYBILL_NOTICE_URL',
    default: null,
    meaning: 'webhook that gets dead letters, parked queues, skipped ticks and differences that verify finds',
  },
  {
    name: 'WAYBILL_NOTICE_SECRET',
    default: null,
    secret: 'key',
    meaning: 'whsec_…: signs these notices (Standard Webhooks); required with WAYBILL_NOTICE_URL',
  },
  {
    name: 'WAYBILL_EMAIL_RATE',
    default: null,
    meaning: 'messages per second over the whole fleet; the same for every email worker',
  },
  {
    name: 'WAYBILL_EMAIL_ALLOW',
    default: null,
    meaning: 'recipients or domains that mail may go to outside production',
  },
  {
    name: 'WAYBILL_WEBHOOK_ALLOW',
    default: null,
    meaning:
      'receivers of webhooks inside your network, which may have private addresses and http://: names of hosts, addresses or ranges such as 10.0.0.0/8, with commas between them',
  },
  {
    name: 'WAYBILL_WEBHOOK_CONCURRENCY',
    default: '200',
    meaning: 'webhooks that one worker process sends at a time, beside its other work, 1 to 2000',
  },
  {
    name: 'WAYBILL_CONCURRENCY',
    default: '25',
    meaning: 'messages that one worker process delivers at a time, 1 to 500',
  },
  {
    name: 'WAYBILL_POOL_MAX',
    default: null,
    meaning:
      'connections to the database that one process opens at most; default: by its role and by what the server has',
  },
  {
    name: 'WAYBILL_QUEUES',
    default: null,
    meaning: 'queues to work, with commas between them; default: by process',
  },
  {
    name: 'WAYBILL_LEASE',
    default: '15s',
    meaning: "length of a claim's lease; renewed every third of it while the handler runs",
  },
  {
    name: 'WAYBILL_POLL_INTERVAL',
    default: '1s',
    meaning: 'the floor when no notify arrives; not longer than the lease',
  },
  { name: 'WAYBILL_MAX_PAYLOAD_BYTES', default: '262144', meaning: 'larger payloads are refused at enqueue' },
  { name: 'WAYBILL_DELIVERED_RETENTION', default: '7d', meaning: 'when delivered rows are pruned' },
  { name: 'WAYBILL_DEAD_RETENTION', default: '30d', meaning: 'when dead and cancelled rows are pruned' },
  {
    name: 'WAYBILL_KEY_RETENTION',
    default: '90d',
    meaning: 'how long a delivery key holds after its row was pruned',
  },
  {
    name: 'WAYBILL_PAYLOAD_KEYS',
    default: null,
    secret: 'key',
    meaning:
      'keys for payloads of sensitive messages: id:key, with commas between them; the first seals, all open',
  },
  { name: 'WAYBILL_AUDIT_RETENTION', default: '365d', meaning: 'when rows of the audit of acts are pruned' },
  { name: 'WAYBILL_CRON_RETENTION', default: '30d', meaning: 'when runs of cron that have ended are pruned' },
  {
    name: 'WAYBILL_SHUTDOWN_GRACE',
    default: '20s',
    meaning: "from SIGTERM to the end; less than the platform's own",
  },
  {
    name: 'WAYBILL_STALL_LIMIT',
    default: '1m',
    meaning: 'when a process ends itself whose loop hangs or whose event loop is blocked',
  },
  { name: 'LOG_LEVEL', default: 'info', meaning: "pino's levels" },
  {
    name: 'TZ',
    default: null,
    meaning: 'time zone of the process, for what the application prints; a name such as Europe/Berlin',
  },
  { name: 'NODE_ENV', default: 'development', meaning: 'production, development or test' },
];

/** The part of a value that may be shown: nothing of a key, and a URL without its password and secret parameters. */
export function shown(variable: Variable, value: string): string {
  const { secret } = variable;
  if (secret === 'key') return '(set)';
  const named = /^[a-z0-9-]+=/;
  if (secret === 'url' && named.test(value))
    return value
      .split(',')
      .map((item) => item.trim())
      .map((item) => `${named.exec(item)?.[0] ?? ''}${shown(variable, item.replace(named, ''))}`)
      .join(',');
  if (!value.includes('://') && secret === undefined) return value;
  if (!URL.canParse(value)) return secret === 'url' ? '(set)' : hideSecrets(value);
  const url = new URL(value);
  if (url.password !== '') url.password = '***';
  for (const name of url.searchParams.keys())
    if (secretParameter.test(name)) url.searchParams.set(name, '***');
  return url.href;
}
