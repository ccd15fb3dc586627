// The mail of a message in the console, without a browser: who sees it, where its parts are served, and what they may do. Real: Postgres and web.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { readAdminKeys } from '../../src/config/admin-keys.ts';
import { sealSession } from '../../src/console/session.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { defineApp } from '../../src/index.ts';
import { parsePayloadKeys } from '../../src/message/seal.ts';
import { listActs } from '../../src/operate/audit.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const keysText = 'ann:admin:key-of-ann,oscar:operate:key-of-oscar';
const keys = readAdminKeys('WAYBILL_ADMIN_KEYS', keysText, 1, () => undefined);

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  const env = { WAYBILL_ADMIN_KEY: undefined, WAYBILL_ADMIN_KEYS: keysText };
  web = testWeb(defineApp({}), database.url, env);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const cookieOf = (place: 0 | 1): string => `waybill_console=${sealSession(keys[place]!, 'Ann', Date.now())}`;
const cookie = cookieOf(0);

async function send(method: 'GET' | 'POST', url: string, as = cookie, form?: Record<string, string>) {
  const { statusCode, body, headers } = await web.server.inject({
    method,
    url,
    headers: { cookie: as, ...(form && { 'content-type': 'application/x-www-form-urlencoded' }) },
    ...(form && { payload: new URLSearchParams(form).toString() }),
  });
  return { status: statusCode, body, headers };
}

const logo = { filename: 'logo.png', content: 'aGk=', encoding: 'base64', cid: 'logo' } as const;
const mail: EmailInput = {
  from: 'Shop <shop@shop.test>',
  to: ['ann@b.test', 'bob@b.test'],
  bcc: 'secret@b.test',
  subject: 'Your receipt: 9,00 €',
  html: '<img src="cid:logo"><img src="https://elsewhere.test/pixel.gif"><p>Thanks</p>',
  text: 'Thanks\u202e\u0007',
  attachments: [logo, { filename: 'invoice.html', content: '<script>1</script>', contentType: 'text/html' }],
};

async function record(payload: unknown): Promise<string> {
  const message = { kind: 'email' as const, name: 'email', queue: 'email', payload };
  return (await createPostgresOutbox(database.db).enqueue(message)).id;
}

async function show(id: string, as = cookie) {
  const page = await send('GET', '/console', as);
  const _token = /name="_token" value="([^"]+)"/.exec(page.body)![1]!;
  return send('POST', `/console/messages/${id}/show`, as, { _token });
}

it('the mail is shown after Show alone, to the role admin, and the audit says so', async () => {
  const id = await record(prepareEmail(mail, { defaultFrom: null }));
  expect((await send('GET', `/console/messages/${id}`)).body).not.toContain('<iframe');
  expect((await show(id, cookieOf(1))).status).toBe(403);
  const { status, body } = await show(id);
  expect(status).toBe(200);
  for (const part of ['shop@shop.test', 'secret@b.test', 'Your receipt: 9,00 €', 'logo.png', '2 bytes'])
    expect(body).toContain(part);
  expect(body).toContain('One image or style from elsewhere blocked');
  expect(body).toMatch(new RegExp(`Message-ID: &lt;${id}@shop\\.test&gt;`, 'i'));
  for (const char of ['\u202e', '\u0007', '<p>Thanks']) expect(body).not.toContain(char);
  const { acts } = await listActs(database.db, { act: ['message.show'], target: id });
  expect(acts).toHaveLength(1);
});

it('its parts have a ticket of that session and message; without it there is nothing', async () => {
  const payload = prepareEmail(mail, { defaultFrom: null });
  const [id, other] = [await record(payload), await record(payload)];
  const { body } = await show(id);
  const at = `/console/messages/${id}/mail`;
  const [ticket] = /(?<=\/mail\/html\?)ticket=[\w.-]+/.exec(body)!;
  const html = await send('GET', `${at}/html?${ticket}`);
  expect([html.status, html.body]).toEqual([
    200,
    '<img src="data:image/png;base64,aGk="><img src="https://elsewhere.test/pixel.gif"><p>Thanks</p>',
  ]);
  expect(html.headers).toMatchObject({
    'content-security-policy': expect.stringMatching(
      /^default-src 'none'; img-src data:; .*; sandbox$/,
    ) as string,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  const source = await send('GET', `${at}/source?${ticket}`);
  expect(source.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(source.body).toMatch(/^From: Shop <shop@shop\.test>\r\nTo: ann@b\.test, bob@b\.test\r\n/);
  expect(source.body).not.toContain('secret@b.test');
  const file = await send('GET', `${at}/attachments/1?${ticket}`);
  expect([file.body, file.headers['content-type'], file.headers['content-disposition']]).toEqual([
    '<script>1</script>',
    'application/octet-stream',
    `attachment; filename*=UTF-8''invoice.html`,
  ]);
  const again = `waybill_console=${sealSession(keys[0]!, 'Ann', Date.now())}`;
  const refused = [
    await send('GET', `${at}/html`),
    await send('GET', `${at}/html?ticket=x`),
    await send('GET', `${at}/html?${ticket}`, again),
    await send('GET', `/console/messages/${other}/mail/html?${ticket}`),
    await send('GET', `${at}/html?${ticket}`, cookieOf(1)),
    await send('GET', `${at}/html?${ticket}`, ''),
    await send('GET', `${at}/attachments/2?${ticket}`),
  ];
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403, 401, 404]);
  for (const { body: text } of refused) expect(text).not.toContain('Thanks');
});

it('of a sealed mail nothing is shown, and a payload that is no email is said', async () => {
  const odd = await record({ to: 'nobody', html: '<script>1</script>' });
  const { status, body } = await show(odd);
  expect([status, body]).toEqual([200, expect.stringContaining('No mail can be made of this message')]);
  expect(body).not.toContain('<script>1');
  const payloadKeys = parsePayloadKeys(`k:${Buffer.alloc(32, 7).toString('base64')}`) as never;
  const message = { kind: 'email' as const, name: 'email', queue: 'email', sensitive: true };
  const payload = prepareEmail(mail, { defaultFrom: null });
  const sealed = await createPostgresOutbox(database.db, { payloadKeys }).enqueue({ ...message, payload });
  const page = await show(sealed.id);
  expect(page.body).toContain('shown to nobody');
  expect(page.body).not.toMatch(/<iframe|Your receipt/);
});
