// The mail of a message in the console, without a browser: who sees it, where its parts are served, and what they may do. Real: Postgres and web.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { readAdminKeys } from '../../src/config/admin-keys.ts';
import { sealSession } from '../../src/console/session.ts';
import { prepareEmail, type EmailInput } from '../../src/email/email.ts';
import { z } from 'zod';
import { defineApp, defineJob } from '../../src/index.ts';
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
  const job = defineJob({ name: 'count', payload: z.object({ n: z.int() }), async handler() {} });
  web = testWeb(defineApp({ jobs: [job] }), database.url, env);
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

async function act(path: string, form: Record<string, string> = {}) {
  const page = await send('GET', '/console');
  const _token = /name="_token" value="([^"]+)"/.exec(page.body)![1]!;
  return send('POST', path, cookie, { _token, ...form });
}

const payloadOf = async (id: string): Promise<unknown> =>
  (
    await database.db.executeSql<{ payload: unknown }>(
      'select payload from waybill.outbox_messages where id = $1',
      [id],
    )
  ).rows[0]!.payload;

it('an edited mail becomes a new one: what was not touched is as it was, and the editing is in the audit', async () => {
  const payload = prepareEmail({ ...mail, text: 'one\r\ntwo' }, { defaultFrom: null });
  const id = await record(payload);
  const { body } = await act(`/console/messages/${id}/edit`, { reason: '', to: '' });
  expect(body).toContain(
    '<textarea name="text" rows="8" spellcheck="false" dir="auto">\none\r\ntwo</textarea>',
  );
  expect(body).toContain('Its attachments (2) are kept.');
  const typed = {
    to: 'ann@b.test\r\nbob@b.test',
    cc: '',
    bcc: 'secret@b.test',
    html: mail.html!,
    text: 'one\r\ntwo',
  };
  const wrong = { ...typed, to: 'nobody<', subject: 'Sorry & <b>' };
  const refused = await act(`/console/messages/${id}/edited`, wrong);
  expect([refused.status, refused.body]).toEqual([400, expect.stringContaining('Nothing was recorded')]);
  for (const kept of ['value="Sorry &amp; &lt;b&gt;"', '\nnobody&lt;</textarea>'])
    expect(refused.body).toContain(kept);
  const done = await act(`/console/messages/${id}/edited`, { ...typed, subject: 'Sorry', reason: 'a typo' });
  expect(done.status).toBe(303);
  const copied = String(done.headers['location']).split('/').at(-1)!;
  expect(await payloadOf(copied)).toEqual({ ...payload, subject: 'Sorry' });
  const { acts } = await listActs(database.db, { target: id });
  expect(acts.map(({ act: name, reason }) => [name, reason])).toEqual([
    ['message.copy', 'a typo'],
    ['message.show', null],
  ]);
  expect(JSON.stringify(acts)).not.toContain('Sorry');
});

it('an edited payload must be JSON that fits the schema of its job; what was typed is kept', async () => {
  const message = { kind: 'job' as const, name: 'count', queue: 'jobs', payload: { n: 1 } };
  const { id } = await createPostgresOutbox(database.db).enqueue(message);
  expect((await act(`/console/messages/${id}/edit`)).body).toContain('&quot;n&quot;: 1');
  for (const [payload, why] of [
    ['{ n: 2 }', 'the payload is no JSON'],
    ['{"n": "two"}', 'does not fit its schema: n: '],
  ] as const) {
    const { status, body } = await act(`/console/messages/${id}/edited`, { payload });
    expect([status < 500, body]).toEqual([true, expect.stringContaining(why)]);
    expect(body).toContain(payload.replaceAll('"', '&quot;'));
  }
  const done = await act(`/console/messages/${id}/edited`, { payload: '{"n": 2}', deliveryKey: 'two' });
  const copied = String(done.headers['location']).split('/').at(-1)!;
  expect(await payloadOf(copied)).toEqual({ n: 2 });
  const taken = await act(`/console/messages/${id}/edited`, { payload: '{"n": 2}', deliveryKey: 'two' });
  expect([taken.status, taken.body]).toEqual([409, expect.stringContaining('has this delivery key')]);
  const operator = await send('POST', `/console/messages/${id}/edit`, cookieOf(1), { _token: 'x' });
  expect(operator.status).toBe(403);
});
