import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import type { EmailInput } from '../../src/email/email.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { storeEmail } from '../support/inbox.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

// /inbox on the web server of an application.
const app = defineApp({});
const productionKey = 'k'.repeat(32);
const production = { NODE_ENV: 'production', WAYBILL_ADMIN_KEY: productionKey, WAYBILL_API_KEY: undefined };

let database: TestDatabase;
const webs: TestWeb[] = [];
let web: TestWeb;

function start(env: Record<string, string | undefined>): TestWeb {
  const made = testWeb(app, database.url, env);
  webs.push(made);
  return made;
}

beforeAll(async () => {
  database = await testDatabase();
  web = start({ WAYBILL_EMAIL_PROVIDER: 'inbox' });
});
afterAll(async () => {
  for (const one of webs) await one.end();
  await database.end();
});
beforeEach(() => database.db.executeSql('delete from waybill.inbox_emails'));

type Headers = Record<string, string>;

async function send(method: 'GET' | 'POST' | 'HEAD', url: string, headers: Headers = {}, to = web) {
  const response = await to.server.inject({ method, url, headers });
  return {
    status: response.statusCode,
    headers: response.headers,
    body: response.body,
    raw: response.rawPayload,
  };
}
const json = async (url: string): Promise<Record<string, unknown>> => {
  const { body } = await send('GET', url, { accept: 'application/json' });
  return JSON.parse(body) as Record<string, unknown>;
};
const store = (input: Partial<EmailInput> = {}) => storeEmail(database.db, input);
const code = (body: string) => (JSON.parse(body) as { code: string }).code;

const evil = `"><script>alert(1)</script></title></iframe><img src=x onerror=alert(1)>`;

describe('images in the html', () => {
  const logo = {
    filename: 'logo.png',
    content: 'aGk=',
    encoding: 'base64',
    contentType: 'image/png',
    cid: 'logo',
  } as const;
  const page = { filename: 'page.html', content: 'x', contentType: 'text/html', cid: 'page' } as const;

  it('are shown as they came with the mail, and nothing but images', async () => {
    const html = `<img src="cid:logo"><img src='CID:logo'><p style="background:url(cid:logo)"><a href="cid:page">x</a>`;
    const id = await store({ html, attachments: [logo, page] });
    const { body } = await send('GET', `/inbox/${id}/html`);
    const url = 'data:image/png;base64,aGk=';
    expect(body).toBe(
      `<img src="${url}"><img src='${url}'><p style="background:url(${url})"><a href="cid:page">x</a>`,
    );
    expect(await json(`/inbox/${id}`)).toMatchObject({
      html,
      attachments: [{ cid: 'logo' }, { cid: 'page' }],
    });
  });
});

describe('GET /inbox', () => {
  it('a page for a browser, JSON for who asks for it', async () => {
    const id = await store({ subject: 'Welcome', to: ['ann@b.test', 'bob@b.test'] });
    const answer = await send('GET', '/inbox', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/html; charset=utf-8', vary: 'accept', 'cache-control': 'no-store' },
    });
    expect(answer.body).toContain(`href="/inbox/${id}"`);
    expect((await send('GET', '/inbox', { accept: '*/*' })).body).toContain(`href="/inbox/${id}"`);
    expect(await json('/inbox')).toEqual({
      mails: [
        {
          id,
          from: 'shop@shop.test',
          recipients: ['ann@b.test', 'bob@b.test'],
          subject: 'Welcome',
          storedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
          bytes: expect.any(Number) as number,
        },
      ],
      nextCursor: null,
    });
  });

  it('searches recipients and subjects, and goes on page by page', async () => {
    for (let i = 0; i < 3; i++) await store({ subject: `Nr. ${i}`, to: `ann-${i}@b.test` });
    expect((await json('/inbox?search=ANN-1'))['mails']).toMatchObject([{ subject: 'Nr. 1' }]);
    expect((await json('/inbox?search='))['mails']).toHaveLength(3); // the form when nothing was typed
    const first = await json('/inbox?limit=2');
    expect(first['mails']).toMatchObject([{ subject: 'Nr. 2' }, { subject: 'Nr. 1' }]);
    const cursor = first['nextCursor'] as string;
    expect((await json(`/inbox?limit=2&cursor=${cursor}`))['mails']).toMatchObject([{ subject: 'Nr. 0' }]);
    expect((await send('GET', '/inbox?limit=2')).body).toContain(`href="/inbox?cursor=${cursor}"`);
  });

  it('a mail of 5 MB is one line of the list', async () => {
    const html = `<p>${'x'.repeat(5_000_000)}</p>`;
    const id = await store({ subject: 'large', html, text: 'small' });
    for (const accept of ['text/html', 'application/json']) {
      const { body } = await send('GET', '/inbox', { accept });
      expect(body).toContain('large');
      expect(body.length).toBeLessThan(10_000);
    }
    expect((await send('GET', `/inbox/${id}`)).body.length).toBeLessThan(10_000);
    expect((await send('GET', `/inbox/${id}/html`)).body).toBe(html);
    expect((await json(`/inbox/${id}`))['html']).toBe(html);
  });

  it.each([
    ['/inbox?serach=x', 'invalid_arguments'],
    ['/inbox?search=%00', 'invalid_arguments'],
    ['/inbox?search=a&search=b', 'invalid_arguments'],
    ['/inbox?limit=0', 'invalid_limit'],
    ['/inbox?limit=501', 'invalid_limit'],
    ['/inbox?cursor=x', 'invalid_cursor'],
    ['/inbox?cursor=9999999999999999999', 'invalid_cursor'],
    ['/inbox/x', 'invalid_id'],
    ["/inbox/'; drop", 'invalid_id'],
  ])('%s: 400 %s', async (url, expected) => {
    const { status, body } = await send('GET', url);
    expect([status, code(body)]).toEqual([400, expected]);
  });

  it.each([
    '/inbox/0199c0de-0000-7000-8000-000000000000',
    '/inbox/0199c0de-0000-7000-8000-000000000000/html',
    '/inbox/0199c0de-0000-7000-8000-000000000000/source',
    '/inbox/0199c0de-0000-7000-8000-000000000000/attachments/0',
    '/inbox/0199c0de-0000-7000-8000-000000000000/attachments/-1',
    '/inbox/0199c0de-0000-7000-8000-000000000000/nothing',
  ])('%s: 404', async (url) => {
    expect((await send('GET', url)).status).toBe(404);
  });
});

describe('GET /inbox/:id', () => {
  it('as JSON: all that a test of an application wants to read', async () => {
    const id = await store({
      html: '<a href="https://shop.test/confirm?token=7">Confirm</a>',
      text: 'Confirm: https://shop.test/confirm?token=7',
      bcc: 'secret@b.test',
      headers: { 'X-Campaign': 'spring' },
    });
    const mail = await json(`/inbox/${id}`);
    expect(mail).toMatchObject({
      id,
      recipients: ['ann@b.test', 'secret@b.test'],
      html: '<a href="https://shop.test/confirm?token=7">Confirm</a>',
      text: 'Confirm: https://shop.test/confirm?token=7',
      attachments: [],
    });
    expect(mail['headers']).toContainEqual({ name: 'X-Campaign', value: 'spring' });
  });

  it('hostile subjects, addresses and bodies are shown and do nothing', async () => {
    const id = await store({
      subject: evil,
      from: { name: evil, address: 'shop@shop.test' },
      to: [{ name: evil, address: "o'neil&co@b.test" }],
      html: `${evil}<a href="javascript:alert(1)">x</a>`,
      text: `${evil} javascript:alert(1)`,
      headers: { 'X-Evil': evil },
      attachments: [
        { filename: `${evil.replaceAll('/', '')}.html`, content: evil, contentType: 'text/html' },
      ],
    });
    for (const url of ['/inbox', `/inbox?search=${encodeURIComponent(evil)}`, `/inbox/${id}`]) {
      const { status, body, headers } = await send('GET', url);
      expect(status).toBe(200);
      expect(body).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
      expect(body).not.toMatch(/<script>|<img|"javascript:/);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'self'; script-src 'self';/,
      );
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    const { body, headers } = await send('GET', `/inbox/${id}/html`);
    expect(body).toBe(`${evil}<a href="javascript:alert(1)">x</a>`);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy':
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    });
  });

  it('its source is plain text, its attachments are files, whatever they say they are', async () => {
    const id = await store({
      html: '<script>alert(1)</script>',
      attachments: [
        {
          filename: `q"u';o*(t)ß.html`,
          content: '<script>alert(1)</script>',
          contentType: 'text/html',
        },
        { filename: 'dot.gif', content: 'R0lGODlhAQABAAAAACw=', encoding: 'base64' },
      ],
    });
    const source = await send('GET', `/inbox/${id}/source`);
    expect(source.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringMatching(/; sandbox$/) as string,
    });
    expect(source.body).toMatch(/^From: Shop <shop@shop\.test>\r\nTo: ann@b\.test\r\n/);
    const file = await send('GET', `/inbox/${id}/attachments/0`);
    expect(file.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename*=UTF-8''q%22u%27%3Bo%2a%28t%29%C3%9F.html`,
      'x-content-type-options': 'nosniff',
    });
    expect(file.body).toBe('<script>alert(1)</script>');
    expect((await send('GET', `/inbox/${id}/attachments/1`)).raw).toHaveLength(14);
    expect((await send('GET', `/inbox/${id}/attachments/2`)).status).toBe(404);
  });

  it('without html there is none', async () => {
    const id = await store({ html: undefined });
    expect((await send('GET', `/inbox/${id}/html`)).status).toBe(404);
    expect((await send('GET', `/inbox/${id}`)).body).not.toContain('<iframe');
  });
});

describe('POST /inbox/empty', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded', host: 'localhost:3000' };

  it.each<[string, Headers]>([
    ['its own form', { 'sec-fetch-site': 'same-origin', origin: 'http://localhost:3000' }],
    ['its own form where browsers do not say the site', { origin: 'http://localhost:3000' }],
    ['curl', {}],
  ])('%s empties it', async (_, headers) => {
    await store();
    const answer = await send('POST', '/inbox/empty', { ...form, ...headers });
    expect([answer.status, answer.headers['location']]).toEqual([303, '/inbox']);
    expect((await json('/inbox'))['mails']).toEqual([]);
    const { rows } = await database.db.executeSql('select from waybill.outbox_messages limit 1');
    expect(rows).toHaveLength(1); // messages stay
  });

  it.each<[string, Headers]>([
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.test' }],
    ['another subdomain', { 'sec-fetch-site': 'same-site', origin: 'http://x.localhost:3000' }],
    ['another origin', { origin: 'http://localhost:4000' }],
    ['a sandboxed frame', { origin: 'null' }],
    ['an origin that is none', { origin: 'x' }],
  ])('a post of %s: 403, and nothing is gone', async (_, headers) => {
    await store();
    const { status, body } = await send('POST', '/inbox/empty', { ...form, ...headers });
    expect([status, code(body)]).toEqual([403, 'cross_site']);
    expect((await json('/inbox'))['mails']).toHaveLength(1);
  });

  it('as JSON: how many there were', async () => {
    await store();
    const { body } = await send('POST', '/inbox/empty', { accept: 'application/json' });
    expect(JSON.parse(body)).toEqual({ deleted: 1 });
    expect((await send('GET', '/inbox/empty')).status).toBe(400); // no id of a mail: a link empties nothing
  });
});

describe('access', () => {
  it.each([undefined, 'log', 'smtp'])(
    'with the provider %s there is none: 404 names the variable',
    async (name) => {
      const env = { WAYBILL_EMAIL_PROVIDER: name, SMTP_URL: 'smtp://127.0.0.1:1' };
      const other = start(env);
      const id = await store();
      for (const path of ['/inbox', `/inbox/${id}`, `/inbox/${id}/html`, `/inbox/${id}/source`]) {
        const { status, body } = await send('GET', path, {}, other);
        expect([status, code(body)]).toEqual([404, 'inbox_off']);
        expect(body).toContain('WAYBILL_EMAIL_PROVIDER=inbox');
      }
      expect((await send('POST', '/inbox/empty', {}, other)).status).toBe(404);
      expect((await json('/inbox'))['mails']).toHaveLength(1);
    },
  );

  it('in production it needs the admin key, as a bearer or as the password of a browser', async () => {
    const closed = start({ ...production, WAYBILL_EMAIL_PROVIDER: 'inbox' });
    const id = await store();
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const refused: Headers[] = [
      {},
      { authorization: `Bearer ${adminKey}` },
      { authorization: 'Bearer ' },
      { authorization: 'Basic !' },
      { authorization: 'Basic' },
      basic(''),
      basic(`admin:wrong`),
      basic(`${productionKey}:`),
      basic(productionKey),
    ];
    for (const path of ['/inbox', `/inbox/${id}`, `/inbox/${id}/html`, `/inbox/${id}/source`])
      for (const headers of refused) {
        const answer = await send('GET', path, headers, closed);
        expect([answer.status, code(answer.body)]).toEqual([401, 'unauthorized']);
        expect(answer.headers['www-authenticate']).toEqual([
          'Basic realm="inbox", charset="UTF-8"',
          'Bearer',
        ]);
      }
    expect((await send('POST', '/inbox/empty', {}, closed)).status).toBe(401);
    const open = [
      { authorization: `Bearer ${productionKey}` },
      basic(`any:${productionKey}`),
      basic(`:${productionKey}`),
    ];
    for (const headers of open) expect((await send('GET', '/inbox', headers, closed)).status).toBe(200);
  });

  it('in production without WAYBILL_ADMIN_KEY: 503 names it', async () => {
    const closed = start({ ...production, WAYBILL_ADMIN_KEY: undefined, WAYBILL_EMAIL_PROVIDER: 'inbox' });
    const { status, body } = await send('GET', '/inbox', {}, closed);
    expect([status, code(body)]).toEqual([503, 'inbox_closed']);
    expect(body).toContain('WAYBILL_ADMIN_KEY');
  });
});
