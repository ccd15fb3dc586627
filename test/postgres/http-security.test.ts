// What web refuses for where a request comes from and what it carries: other sites' pages, names that lead here by somebody else's DNS, two
// Authorization headers, bodies that do not say what they are, characters that no database stores. A real server and a real database.

import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import { freePort } from '../../src/dev/free-port.ts';
import { defineAction, defineApp } from '../../src/index.ts';
import { webService } from '../../src/http/service.ts';
import { readConfig } from '../../src/config/config.ts';
import { serveHealth } from '../../src/process/health.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
import { adminKey, apiKey, testWeb, type TestWeb } from '../support/web.ts';

let ran = 0;
const app = defineApp({
  actions: [
    defineAction({
      name: 'sign-up',
      access: 'public',
      args: z.object({ name: z.string().optional() }),
      http: 'POST /sign-up/:name',
      async handler() {
        ran += 1;
      },
    }),
  ],
});

let database: TestDatabase;
let web: TestWeb;
let port: number;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url, {
    WAYBILL_EMAIL_PROVIDER: 'inbox',
    WAYBILL_HOSTS: 'shop.example,other.example:8080',
    WAYBILL_CRON_SECRET: 'cron',
  });
  await web.server.listen({ port: 0, host: '127.0.0.1' });
  port = (web.server.server.address() as { port: number }).port;
});
afterAll(async () => {
  await web.end();
  await database.end();
});

type Answer = { status: number; code: unknown; headers: Record<string, unknown> };
async function ask(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  headers: Record<string, string> = {},
  payload?: string,
): Promise<Answer> {
  const answer = await web.server.inject({
    method,
    url,
    headers,
    ...(payload === undefined ? {} : { payload }),
  });
  const isJson = String(answer.headers['content-type']).includes('json');
  const body = isJson ? (answer.json() as Record<string, unknown>) : {};
  return { status: answer.statusCode, code: body['code'], headers: answer.headers };
}
const json = { 'content-type': 'application/json' };

describe('a body says that it is JSON', () => {
  test.each([
    [undefined],
    ['text/plain'],
    ['text/plain; charset=utf-8'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['application/jsonp'],
    [''],
  ])('%s: 415', async (type) => {
    const before = ran;
    const { status, code } = await ask(
      'POST',
      '/actions/sign-up',
      type === undefined ? {} : { 'content-type': type },
      '{}',
    );
    expect([status, code, ran]).toEqual([415, 'unsupported_media_type', before]);
  });

  test('over a socket too, where no library adds a header', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.end(
      'POST /actions/sign-up HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}',
    );
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 415 /);
  });

  test('as JSON, with a charset and as a +json type it is taken', async () => {
    for (const type of ['application/json', 'application/json; charset=utf-8', 'application/vnd.shop+json'])
      expect((await ask('POST', '/actions/sign-up', { 'content-type': type }, '{}')).status).toBe(200);
  });
});

describe('a page of another site', () => {
  const evil: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://localhost.evil.example' },
    { 'sec-fetch-site': 'cross-site', origin: 'https://localhost:80' },
  ];
  test.each(evil)('%j: 403 and nothing is done', async (headers) => {
    const before = ran;
    for (const [method, url] of [
      ['POST', '/actions/sign-up'],
      ['POST', '/sign-up/ann'],
      ['GET', '/admin/outbox'],
      ['GET', '/cron/outbox/drain'],
      ['POST', '/inbox/empty'],
    ] as const) {
      const { status, code } = await ask(
        method,
        url,
        { ...json, ...headers },
        method === 'POST' ? '{}' : undefined,
      );
      expect([status, code], url).toEqual([403, 'cross_site']);
    }
    expect(ran).toBe(before);
  });

  test.each<[string, Record<string, string>]>([
    ['with a key of its own', { 'sec-fetch-site': 'cross-site', authorization: `Bearer ${apiKey}` }],
    ['the same origin', { origin: 'http://localhost:80' }],
    ['a known name', { origin: 'https://shop.example' }],
    ['the same origin, as the browser says', { 'sec-fetch-site': 'same-origin' }],
    ['typed by the user', { 'sec-fetch-site': 'none' }],
    ['no browser', {}],
  ])('%s: taken', async (_, headers) => {
    expect((await ask('POST', '/actions/sign-up', { ...json, ...headers }, '{}')).status).toBe(200);
  });

  test('may be a link to the inbox, and may ask whether the process lives', async () => {
    const visit = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    expect((await ask('GET', '/inbox', visit)).status).toBe(200);
    expect((await ask('GET', '/inbox', { ...visit, 'sec-fetch-dest': 'iframe' })).status).toBe(403);
    expect((await ask('GET', '/livez', { 'sec-fetch-site': 'cross-site' })).status).toBe(200);
    expect(
      (await ask('POST', '/webhooks/resend', { ...json, origin: 'https://resend.example' }, '{}')).code,
    ).toBe('webhook_closed');
  });
});

describe('pages without a key are shown under known names', () => {
  test.each([
    'localhost:3000',
    '127.0.0.1',
    '[::1]:3000',
    '10.0.0.7:80',
    'app.localhost',
    'shop.example',
    'SHOP.example:81',
    'other.example:8080',
  ])('%s: shown', async (host) => expect((await ask('GET', '/inbox', { host })).status).toBe(200));
  test.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    'other.example',
    '127.0.0.1.evil.example',
    'x',
  ])('%s: 403', async (host) => {
    for (const path of [
      '/inbox',
      '/inbox/0199aaaa-0000-7000-8000-000000000001',
      '/inbox/0199aaaa-0000-7000-8000-000000000001/source',
    ])
      expect(await ask('GET', path, { host })).toMatchObject({ status: 403, code: 'unknown_host' });
  });
});

test('two Authorization headers are refused, whichever is right', async () => {
  for (const keys of [
    [adminKey, 'x'],
    ['x', adminKey],
    [adminKey, adminKey],
  ]) {
    const socket = connect(port, '127.0.0.1');
    const fields = keys.map((key) => `authorization: Bearer ${key}\r\n`).join('');
    socket.end(`GET /admin/outbox HTTP/1.1\r\nhost: localhost\r\n${fields}connection: close\r\n\r\n`);
    const answer = await text(socket);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('"authorization_repeated"');
  }
});

describe('what no database stores', () => {
  const admin = { authorization: `Bearer ${adminKey}` };
  test.each([
    ['GET', '/admin/suppressions?contains=%00'],
    ['GET', '/admin/suppressions?cursor=%00'],
    ['GET', '/admin/outbox?name=a%00b'],
    ['GET', '/admin/outbox?errorContains=%00'],
    ['GET', '/admin/outbox?%00=1'],
    ['GET', '/admin/cron/runs?name=%00'],
    ['GET', '/admin/outbox/%00'],
    ['POST', '/admin/outbox/%00/retry'],
    ['POST', '/admin/queues/%00/pause'],
    ['POST', '/admin/cron/%00/run'],
    ['DELETE', '/admin/suppressions/%00'],
    ['GET', '/inbox?search=%00'],
    ['GET', '/inbox/%00'],
    ['POST', '/sign-up/%00'],
    ['POST', '/sign-up/a?x=%00'],
  ] as const)('%s %s: 400 or 404', async (method, url) => {
    const body = method === 'POST' ? '{}' : undefined;
    const { status } = await ask(method, url, { ...admin, ...(body && json) }, body);
    expect([400, 404]).toContain(status); // 404: no queue and no job has such a name
  });

  test('in a body it is 400 with the path', async () => {
    const body = JSON.stringify({ address: 'a\0@b.test' });
    expect(await ask('POST', '/admin/suppressions', { ...admin, ...json }, body)).toMatchObject({
      status: 400,
      code: 'null_character',
    });
  });
});

test('every answer says that its type is to be believed', async () => {
  const admin = { authorization: `Bearer ${adminKey}` };
  for (const path of [
    '/livez',
    '/readyz',
    '/healthz',
    '/metrics',
    '/openapi.json',
    '/inbox',
    `/actions/${'n'.repeat(2_001)}`,
    '/%',
    '/nothing',
    '/admin/outbox',
    '/cron/outbox/drain',
  ])
    expect(
      (await ask('GET', path, path.startsWith('/admin') ? admin : {})).headers['x-content-type-options'],
      path,
    ).toBe('nosniff');
  for (const type of ['application/json', 'text/plain'])
    expect((await ask('POST', '/actions/sign-up', { 'content-type': type }, '{}')).headers).toHaveProperty(
      'x-content-type-options',
      'nosniff',
    );
  const socket = connect(port, '127.0.0.1');
  socket.end('NONSENSE\r\n\r\n');
  expect(await text(socket)).toContain('x-content-type-options: nosniff');
});

test('so does every answer of the processes that are not web', async () => {
  const { host } = web;
  const health = await serveHealth([{ ...host, config: { ...host.config, metricsKey: 'metrics-key' } }], 0);
  try {
    for (const path of ['/livez', '/readyz', '/metrics', '/nothing'])
      expect(
        (await fetch(`http://127.0.0.1:${health.port}${path}`)).headers.get('x-content-type-options'),
        path,
      ).toBe('nosniff');
  } finally {
    await health.close();
  }
});

test('HOST is the only address that web listens on', async () => {
  const local = testWeb(app, database.url, { HOST: '127.0.0.1', PORT: String(await freePort()) });
  const stop = new AbortController();
  const ports = { ...local, notify: () => undefined };
  const running = webService({ ...local.host, signal: stop.signal }, ports).run(stop.signal);
  const livez = (address: string): Promise<boolean> =>
    fetch(`http://${address}:${local.host.config.port}/livez`).then(({ ok }) => ok);
  try {
    await until(() => livez('127.0.0.1').catch(() => false), { what: 'a port that answers' });
    await expect(livez('127.0.0.2')).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } });
  } finally {
    stop.abort();
    await running;
    await local.end();
  }
});

describe('a cursor is for the list and the filter that gave it', () => {
  const admin = { authorization: `Bearer ${adminKey}` };
  it('with another one it is 400', async () => {
    const outbox = `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts)
      select gen_random_uuid(), 'job', 'j', 'jobs', '{}', 1 from generate_series(1, 3)`;
    await database.db.executeSql(outbox);
    const page = await web.server.inject({ url: '/admin/outbox?limit=1&name=j&kind=job', headers: admin });
    const { nextCursor: cursor } = page.json<{ nextCursor: string }>();
    const status = async (query: string): Promise<unknown[]> => {
      const { status: code, code: problem } = await ask('GET', `/admin/${query}&cursor=${cursor}`, admin);
      return [code, problem];
    };
    expect(await status('outbox?kind=job&name=j&limit=2')).toEqual([200, undefined]); // another order and page size
    for (const query of [
      'outbox?name=j',
      'outbox?name=k&kind=job',
      'outbox?limit=1',
      'cron/runs?name=j',
      'suppressions?limit=1',
    ])
      expect(await status(query), query).toEqual([400, 'invalid_cursor']);
  });
});

describe('the configuration', () => {
  const base = { DATABASE_URL: 'postgres://u:p@db.test/x?sslmode=verify-full' };
  const key = 'k'.repeat(32);
  it.each<[Record<string, string>, RegExp]>([
    [{ NODE_ENV: 'production', RESEND_WEBHOOK_SECRET: 'whsec_AAEC' }, /RESEND_WEBHOOK_SECRET: has 3 bytes/],
    [{ NODE_ENV: 'production', WAYBILL_ADMIN_KEY: 'short' }, /WAYBILL_ADMIN_KEY: must have 32/],
    [{ RESEND_WEBHOOK_SECRET: 'whsec_' }, /RESEND_WEBHOOK_SECRET/],
    [{ NODE_ENV: 'prod' }, /was production meant/],
    [{ LOG_LEVEL: 'verbose' }, /LOG_LEVEL: must be one of trace, debug/],
    [{ TZ: 'Mars/Base' }, /TZ: is no time zone/],
    [{ HOST: '127.0.0.1:3000' }, /HOST: must be an address/],
    [{ HOST: 'http://x' }, /HOST: must be an address/],
    [{ HOST: '300' }, /HOST: must be an address/],
    [{ WAYBILL_HOSTS: 'https://shop.example' }, /WAYBILL_HOSTS: must be names/],
    [{ PORT: '99999' }, /PORT: must be a whole number from 0 to 65535/],
  ])('%j is refused', (env, words) => expect(() => readConfig({ ...base, ...env })).toThrow(words));

  it.each<Record<string, string>>([
    { RESEND_WEBHOOK_SECRET: 'whsec_AAEC' },
    { WAYBILL_ADMIN_KEY: 'short' },
    { TZ: 'Europe/Berlin', HOST: '::' },
    { TZ: ':/etc/localtime', HOST: 'localhost' },
    { TZ: '', HOST: '', WAYBILL_HOSTS: '', NODE_ENV: '', LOG_LEVEL: '' },
    {
      NODE_ENV: 'production',
      WAYBILL_ADMIN_KEY: key,
      RESEND_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24).toString('base64')}`,
    },
  ])('%j is taken', (env) => expect(() => readConfig({ ...base, ...env })).not.toThrow());
});
