import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { warningsOf } from '../../src/config/warnings.ts';

const good = { DATABASE_URL: 'postgres://u:p@localhost:5432/db' };

function problems(env: Record<string, string | undefined>): Record<string, string> {
  try {
    readConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.fromEntries(error.problems.map(({ variable, message }) => [variable, message]));
  }
  return {};
}

describe('readConfig', () => {
  it('has a default for everything but DATABASE_URL', () => {
    expect(readConfig(good)).toMatchObject({
      queueDatabaseUrl: good.DATABASE_URL,
      app: 'app/index.ts',
      port: 3000,
      metricsPort: null,
      adminKeys: [],
      emailProviders: [],
      resendApiKey: null,
      resendBaseUrl: 'https://api.resend.com',
      resendWebhookSecret: null,
      postmark: null,
      sendgrid: null,
      ses: null,
      mailgun: null,
      reports: { postmark: null, sendgrid: null, mailgun: null },
      emailAllow: null,
      concurrency: 25,
      queues: null,
      leaseMs: 15_000,
      pollIntervalMs: 1_000,
      maxPayloadBytes: 262_144,
      deliveredRetentionMs: 7 * 86_400_000,
      deadRetentionMs: 30 * 86_400_000,
      keyRetentionMs: 90 * 86_400_000,
      shutdownGraceMs: 20_000,
      logLevel: 'info',
      production: false,
    });
  });

  it.each(['log', 'smtp', 'inbox'] as const)('knows the provider %s', (name) => {
    const env = { ...good, WAYBILL_EMAIL_PROVIDER: name, SMTP_URL: 'smtp://mail.test' };
    expect(readConfig(env).emailProviders).toEqual([name]);
  });

  it('takes a list of providers in its order, with spaces or without', () => {
    const env = { ...good, RESEND_API_KEY: 're_1', SMTP_URL: 'smtp://mail.test' };
    for (const list of ['resend,smtp', 'resend, smtp'])
      expect(readConfig({ ...env, WAYBILL_EMAIL_PROVIDER: list }).emailProviders).toEqual(['resend', 'smtp']);
  });

  it.each([
    ['resend,sendgird', /names "sendgird".*one of .*resend.*commas between/],
    ['resend,smpt', /was smtp meant\?/],
    ['resend,smtp,resend', /names resend twice: name each provider once/],
    ['resend,,smtp', /has an empty name/],
    ['resend,', /has an empty name/],
    ['smtp,log', /names log beside others: it sends nothing/],
    ['inbox,resend', /names inbox beside others/],
  ])('refuses the list %s of providers with one clear problem', (list, problem) => {
    const env = { ...good, RESEND_API_KEY: 're_1', SMTP_URL: 'smtp://mail.test' };
    expect(problems({ ...env, WAYBILL_EMAIL_PROVIDER: list })).toEqual({
      WAYBILL_EMAIL_PROVIDER: expect.stringMatching(problem) as string,
    });
  });

  it('asks for the settings of each provider of a list', () => {
    expect(problems({ ...good, WAYBILL_EMAIL_PROVIDER: 'resend,smtp' })).toEqual({
      RESEND_API_KEY: 'is required when WAYBILL_EMAIL_PROVIDER is resend,smtp: re_…',
      SMTP_URL: 'is required when WAYBILL_EMAIL_PROVIDER is resend,smtp: smtp://user:password@host:587',
    });
  });

  it('takes an empty variable as one that is not set', () => {
    expect(readConfig({ ...good, WAYBILL_ADMIN_KEY: '', PORT: '' })).toMatchObject({
      adminKeys: [],
      port: 3000,
    });
  });

  it('tells all that is wrong at once, and nothing of a secret', () => {
    const secret = 'with spaces';
    const told = problems({
      PORT: '3000abc',
      WAYBILL_CONCURRENCY: '0',
      WAYBILL_ADMIN_KEY: secret,
      LOG_LEVEL: 'verbose',
    });
    expect(Object.keys(told).toSorted()).toEqual([
      'DATABASE_URL',
      'LOG_LEVEL',
      'PORT',
      'WAYBILL_ADMIN_KEY',
      'WAYBILL_CONCURRENCY',
    ]);
    expect(JSON.stringify(told)).not.toContain(secret);
  });

  it.each<[string, string, RegExp]>([
    ['DATABASE_URL', 'not a url', /must be a URL like postgres:/],
    ['DATABASE_URL', 'mysql://u:p@h/db', /must be a URL like postgres:/],
    ['DATABASE_URL', '"postgres://u:p@h/db"', /quotes/],
    ['DATABASE_URL', 'postgres://u:p@h/db\r', /line break/],
    ['DATABASE_URL', 'postgres:///db', /names no host/],
    ['DATABASE_URL', 'postgres://h', /names no database/],
    ['DATABASE_URL', 'postgres://u:p@h:5432/', /names no database/],
    ['DATABASE_URL', 'postgres://u:p@/?host=/cloudsql/p:r:i', /names no database/],
    ['DATABASE_URL', 'postgres://u:p#ss@h/db', /#.*written %23/],
    ['DATABASE_URL', 'postgres://u:25#ss@h/db', /written %23/],
    ['DATABASE_URL', 'postgres://u:p/ss@h/db', /port that is no number.*%2F/],
    ['DATABASE_URL', 'postgres://u:p?ss@h/db', /port that is no number.*%3F/],
    ['DATABASE_URL', 'postgres://u:5/ss@h/db', /written %2F/],
    ['DATABASE_URL', 'postgres://u:5/ss@h', /written %2F/],
    ['DATABASE_URL', 'postgres://u:5?ss@h/db', /names no database/],
    ['DATABASE_URL', 'postgres://u:5/db?ss@h/db', /written %3F/],
    ['DATABASE_URL', 'postgres://u:50%off@h/db', /%25/],
    ['DATABASE_URL', 'postgres://u:a b@h/db', /%20/],
    ['DATABASE_URL', 'postgres://u:p@h:99999/db', /port 99999; ports go from 1 to 65535/],
    ['DATABASE_URL', 'postgres://u:p@h:0/db', /port 0/],
    ['DATABASE_URL', 'postgres://u:p@h:54x/db', /port that is no number/],
    ['DATABASE_URL', 'postgres://u:p@a,b/db', /several hosts/],
    ['DATABASE_URL', 'postgres://u:p@h:1,i:2/db', /several hosts/],
    ['DATABASE_URL', 'postgres://u:p@h/db?sslmode=verify', /sslmode that is none of/],
    ['QUEUE_DATABASE_URL', 'postgres://h', /names no database/],
    ['WAYBILL_CONCURRENCY', '-1', /whole number from 1 to 500/],
    ['WAYBILL_CONCURRENCY', '1.5', /whole number/],
    ['WAYBILL_CONCURRENCY', '1e3', /whole number/],
    ['WAYBILL_CONCURRENCY', '0x10', /whole number/],
    ['WAYBILL_CONCURRENCY', 'Infinity', /whole number/],
    ['WAYBILL_CONCURRENCY', '10 ', /spaces around/],
    ['WAYBILL_LEASE', '15', /duration from 1s to 1h/],
    ['WAYBILL_LEASE', '0s', /duration/],
    ['WAYBILL_LEASE', '2d', /duration/],
    ['WAYBILL_POLL_INTERVAL', '0ms', /duration/],
    ['PORT', '65536', /0 to 65535/],
    ['WAYBILL_EMAIL_PROVIDER', 'sendgird', /one of log, smtp/],
    ['WAYBILL_EMAIL_PROVIDER', 'smpt', /was smtp meant/],
    ['WAYBILL_QUEUE_BACKEND', 'mysql', /one of postgres/],
    ['LOG_LEVEL', 'verbose', /one of trace/],
    ['NODE_ENV', 'prod', /one of production/],
    ['WAYBILL_QUEUES', 'a,,b', /names of letters/],
    ['SMTP_URL', 'smtp://h:0', /port 0/],
    ['SMTP_URL', 'smtp://user@h:25', /no password/],
    ['SMTP_URL', 'smtps://u:p@h:587', /port 465/],
    ['SMTP_URL', 'smtp://h:25?tls.rejectUnauthorized=false', /parameters/],
    ['SMTP_URL', 'smtp://u:50%off@h:25', /%25/],
    ['RESEND_API_KEY', 're_with a space', /without spaces/],
    ['RESEND_BASE_URL', 'api.resend.com', /a URL like https:/],
    ['RESEND_BASE_URL', 'http://api.resend.com', /must begin with https:/],
    ['RESEND_BASE_URL', 'http://127.0.0.1.evil.test', /must begin with https:/],
    ['RESEND_BASE_URL', 'https://me:pass@api.resend.com', /no user/],
    ['RESEND_BASE_URL', 'https://api.resend.com?a=1', /parameters/],
    ['RESEND_WEBHOOK_SECRET', 'c2VjcmV0', /whsec_/],
    ['RESEND_WEBHOOK_SECRET', 'whsec_not base64', /whsec_/],
    ['RESEND_WEBHOOK_SECRET', 'whsec_', /whsec_/],
    ['WAYBILL_EMAIL_FROM', 'shop', /must be an address/],
    ['WAYBILL_ADMIN_KEY', 'with a space in it 123', /without spaces/],
    ['WAYBILL_CRON_SECRET', 'with a space', /without spaces/],
    ['WAYBILL_EMAIL_RATE', 'fast', /number above 0/],
    ['WAYBILL_EMAIL_RATE', '0', /number above 0/],
    ['WAYBILL_EMAIL_ALLOW', 'a@b.test,,', /addresses or domains/],
    ['WAYBILL_CONCURENCY', '5', /was WAYBILL_CONCURRENCY meant/],
  ])('refuses %s=%j', (variable, value, message) => {
    expect(problems({ ...good, [variable]: value })[variable]).toMatch(message);
  });

  it('reads admin keys with names and roles, several of one for rotation', () => {
    const env = { ...good, WAYBILL_ADMIN_KEY: 'new,old', WAYBILL_ADMIN_KEYS: 'ann:admin:a:b,grafana:read:c' };
    expect(readConfig(env).adminKeys.map(({ name, role, key }) => [name, role, key])).toEqual([
      ['admin', 'admin', 'new'],
      ['admin', 'admin', 'old'],
      ['ann', 'admin', 'a:b'],
      ['grafana', 'read', 'c'],
    ]);
  });

  it.each([
    [{ WAYBILL_ADMIN_KEYS: 'ann:admn:k' }, 'WAYBILL_ADMIN_KEYS', /entry 1 \(ann\).*was admin meant\?/],
    [{ WAYBILL_ADMIN_KEYS: 'ann:admin:k,bob' }, 'WAYBILL_ADMIN_KEYS', /entry 2 must be name:role:key/],
    [{ WAYBILL_ADMIN_KEYS: 'ann:admin:' }, 'WAYBILL_ADMIN_KEYS', /entry 1 \(ann\) needs a key/],
    [{ WAYBILL_ADMIN_KEYS: 'a b:admin:k' }, 'WAYBILL_ADMIN_KEYS', /entry 1 must be name:role:key/],
    [{ WAYBILL_ADMIN_KEYS: 'ann:admin:k,bob:read:k' }, 'WAYBILL_ADMIN_KEYS', /same key twice/],
    [{ WAYBILL_ADMIN_KEY: 'k,k' }, 'WAYBILL_ADMIN_KEY', /same key twice/],
    [{ WAYBILL_ADMIN_KEY: 'k,' }, 'WAYBILL_ADMIN_KEY', /commas separate/],
    [
      { WAYBILL_ADMIN_KEY: 'k', WAYBILL_ADMIN_KEYS: 'ann:read:k' },
      'WAYBILL_ADMIN_KEYS',
      /the key of WAYBILL_ADMIN_KEY/,
    ],
    [{ WAYBILL_ADMIN_KEY: 'k', WAYBILL_API_KEY: 'k' }, 'WAYBILL_ADMIN_KEY', /the key of WAYBILL_API_KEY/],
    [
      { WAYBILL_CRON_SECRET: 'k', WAYBILL_METRICS_KEY: 'k' },
      'WAYBILL_CRON_SECRET',
      /the key of WAYBILL_METRICS_KEY/,
    ],
  ])('refuses the admin keys of %j', (given, variable, message) => {
    const told = problems({ ...good, ...given });
    expect(Object.keys(told)).toEqual([variable]);
    expect(told[variable]).toMatch(message);
    expect(told[variable]).not.toMatch(/\bk\b/);
  });

  it('asks for long keys in production alone', () => {
    const env = { ...good, WAYBILL_ADMIN_KEY: 'short-key' };
    expect(readConfig(env).adminKeys).toMatchObject([{ name: 'admin', role: 'admin', key: 'short-key' }]);
    expect(problems({ ...env, NODE_ENV: 'production' })['WAYBILL_ADMIN_KEY']).toMatch(/32 to 256/);
    const named = { NODE_ENV: 'production', WAYBILL_ADMIN_KEYS: 'ann:read:short' };
    expect(problems({ ...good, ...named })['WAYBILL_ADMIN_KEYS']).toMatch(/32 to 256/);
    expect(problems({ ...env, NODE_ENV: 'production', WAYBILL_ADMIN_KEY: 'k'.repeat(32) })).toEqual({});
  });

  it('keeps the guard of recipients out of production', () => {
    const env = { ...good, WAYBILL_EMAIL_ALLOW: 'ann@b.test, example.test' };
    expect(readConfig(env).emailAllow).toEqual(['ann@b.test', 'example.test']);
    expect(problems({ ...env, NODE_ENV: 'production' })).toEqual({
      WAYBILL_EMAIL_ALLOW: expect.stringMatching(/not for production/),
    });
  });

  it.each([
    ['WAYBILL_CRON_SECRET', 'k'.repeat(32)],
    ['WAYBILL_EMAIL_RATE', '0.5'],
    ['RESEND_BASE_URL', 'http://[::1]:3000/api/'],
    ['RESEND_WEBHOOK_SECRET', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
  ])('takes %s=%s', (variable, value) => {
    expect(problems({ ...good, NODE_ENV: 'production', [variable]: value })).toEqual({});
  });

  it('wants a poll interval that fits into the lease, and names both', () => {
    const both = { ...good, WAYBILL_POLL_INTERVAL: '30s', WAYBILL_LEASE: '10s' };
    expect(problems(both)).toEqual({
      WAYBILL_POLL_INTERVAL: expect.stringMatching(/30000 ms.*WAYBILL_LEASE with 10000 ms/) as string,
    });
    expect(problems({ ...both, WAYBILL_LEASE: '30s' })).toEqual({});
    expect(Object.keys(problems({ ...both, WAYBILL_LEASE: 'long' }))).toEqual(['WAYBILL_LEASE']);
  });

  it('asks for SMTP_URL when the provider is smtp', () => {
    expect(problems({ ...good, WAYBILL_EMAIL_PROVIDER: 'smtp' })).toHaveProperty('SMTP_URL');
  });

  it('asks for RESEND_API_KEY when the provider is resend, once', () => {
    const env = { ...good, WAYBILL_EMAIL_PROVIDER: 'resend' };
    expect(problems(env)).toEqual({ RESEND_API_KEY: expect.stringMatching(/is required/) as string });
    expect(problems({ ...env, RESEND_API_KEY: ' re_1' })).toEqual({
      RESEND_API_KEY: expect.stringMatching(/spaces around/) as string,
    });
    expect(
      readConfig({ ...env, RESEND_API_KEY: 're_1', RESEND_BASE_URL: 'http://localhost:1/' }),
    ).toMatchObject({
      emailProviders: ['resend'],
      resendApiKey: 're_1',
      resendBaseUrl: 'http://localhost:1',
    });
  });
});

const tlsWarnings = (env: Record<string, string>): string[] =>
  warningsOf(readConfig(env))
    .filter(({ code }) => code !== 'key_missing')
    .map(({ code, message }) => `${code}: ${message}`);

describe('URLs of databases', () => {
  it.each([
    'postgres://user:pw@/db?host=/cloudsql/project:region:instance',
    'postgresql://user@/db?host=/var/run/postgresql&port=5433',
    'postgres://%2Fvar%2Frun%2Fpostgresql/db',
    'socket:///var/run/postgresql?db=shop',
    'socket://user:pw@/var/run/postgresql?db=shop&encoding=utf8',
    '/var/run/postgresql shop',
    'postgres:///db?host=localhost',
    'postgres://user:p%40ss%23%2F@h:5432/db?application_name=shop&sslmode=verify-full&sslrootcert=/etc/ca.pem',
    'postgres://user:p@ss@h/db',
    'postgres://h/db',
    'postgres://u:p@[::1]:5432/db',
    'POSTGRES://u:p@h/db',
  ])('%s is taken', (url) => {
    const config = readConfig({ DATABASE_URL: url, QUEUE_DATABASE_URL: url });
    expect([config.databaseUrl, config.queueDatabaseUrl]).toEqual([url, url]);
  });

  const production = { NODE_ENV: 'production' };
  const remote = 'postgres://app:geheim@db.shop.test/shop';

  it('in production one to another machine says what it does about TLS', () => {
    for (const variable of ['DATABASE_URL', 'QUEUE_DATABASE_URL']) {
      const env = { ...production, DATABASE_URL: `${remote}?sslmode=require`, [variable]: remote };
      const told = problems(env);
      expect(told[variable]).toMatch(/says nothing of TLS.*sslmode=verify-full.*sslmode=disable/);
      expect(JSON.stringify(told)).not.toContain('geheim');
      expect(() => readConfig({ ...env, PGSSLMODE: 'require' })).not.toThrow();
    }
    expect(() => readConfig({ DATABASE_URL: remote })).not.toThrow();
    for (const url of [
      'postgres://u:p@127.0.0.1/db',
      'postgres://u:p@localhost/db',
      'postgres://u:p@[::1]/db',
      'postgres://u:p@/db?host=/cloudsql/x',
    ])
      expect(tlsWarnings({ ...production, DATABASE_URL: url })).toEqual([]);
  });

  it('a connection in clear, or with nobody’s certificate, that was asked for is worth a warning', () => {
    const warnings = (mode: string): string[] =>
      tlsWarnings({ ...production, DATABASE_URL: `${remote}?sslmode=${mode}` });
    expect(warnings('disable')).toEqual([
      expect.stringMatching(/^connection_in_clear: DATABASE_URL has TLS turned off.*in clear/),
    ]);
    expect(warnings('no-verify')).toEqual([expect.stringMatching(/whoever answers/)]);
    expect(warnings('verify-full')).toEqual([]);
  });
});
