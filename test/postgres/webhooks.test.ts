import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import { listSuppressions, unsuppress } from '../../src/email/suppression.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { showMessage } from '../../src/operate/read.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

let database: TestDatabase;
let web: TestWeb;
let closed: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, { RESEND_WEBHOOK_SECRET: secret });
  closed = testWeb(defineApp({}), database.url);
});
afterAll(async () => {
  await web.end();
  await closed.end();
  await database.end();
});

type Signed = {
  readonly id?: string;
  /** Seconds. */
  readonly at?: number;
  readonly key?: string;
  readonly prefix?: 'svix' | 'webhook';
};

const now = () => Math.floor(Date.now() / 1_000);

/** After the specification (standardwebhooks.com), not with the library that checks it. */
function signature(body: string, { id, at, key = secret }: Signed): string {
  const hmac = createHmac('sha256', Buffer.from(key.slice('whsec_'.length), 'base64'));
  return `v1,${hmac.update(`${id}.${at}.${body}`).digest('base64')}`;
}

function headersOf(
  body: string,
  { prefix = 'svix', id = `msg_${randomUUID()}`, at = now(), key = secret }: Signed = {},
) {
  return {
    'content-type': 'application/json',
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: String(at),
    [`${prefix}-signature`]: signature(body, { id, at, key }),
  };
}

async function post(payload: string, headers: Record<string, string> = headersOf(payload), to = web) {
  const response = await to.server.inject({ method: 'POST', url: '/webhooks/resend', payload, headers });
  const { status = response.statusCode, ...body } = response.json<Record<string, unknown>>();
  return { ...body, status };
}

function event(type: string, data: object = {}): string {
  const whole = { email_id: randomUUID(), to: ['ann@b.test'], ...data };
  return JSON.stringify({ type: `email.${type}`, created_at: '2024-11-22T23:41:12.126Z', data: whole });
}

async function enqueue(): Promise<string> {
  const outbox = createPostgresOutbox(database.db);
  return (await outbox.enqueue({ kind: 'email', name: 'email', queue: 'email', payload: {} })).id;
}

const notesOf = async (id: string) =>
  (await showMessage(database.db, id)).notes.map(({ type, recipient, detail }) => ({
    type,
    recipient,
    detail,
  }));
const suppressed = async () =>
  Object.fromEntries(
    (await listSuppressions(database.db)).suppressions.map(({ address, reason }) => [address, reason]),
  );
const tagged = (id: string) => ({ tags: { waybill_message: id } });
const bounce = { type: 'Permanent', subType: 'General', message: 'unknown' };

it('the signatures of these tests are those of the specification', () => {
  const published = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', at: 1614265330 };
  expect(signature('{"test": 2432232314}', published)).toBe(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  );
});

describe('a report', () => {
  it('of a permanent bounce is on the timeline, and nothing goes to that address any more', async () => {
    const id = await enqueue();
    const data = { to: ['Gone@b.test'], bounce, ...tagged(id) };
    expect(await post(event('bounced', data))).toEqual({ status: 200, noted: true });
    expect(await notesOf(id)).toEqual([
      { type: 'bounced', recipient: 'Gone@b.test', detail: 'Permanent, General: unknown' },
    ]);
    expect(await suppressed()).toMatchObject({ 'gone@b.test': 'bounced' });
  });

  it('of a complaint likewise', async () => {
    const id = await enqueue();
    await post(event('complained', { to: ['angry@b.test'], ...tagged(id) }));
    expect(await notesOf(id)).toMatchObject([{ type: 'complained', recipient: 'angry@b.test' }]);
    expect(await suppressed()).toMatchObject({ 'angry@b.test': 'complained' });
  });

  it('of anything else is a note alone', async () => {
    const id = await enqueue();
    const about = { to: ['fine@b.test'], ...tagged(id) };
    for (const [type, more] of [
      ['delivery_delayed', {}],
      ['bounced', { bounce: { ...bounce, type: 'Transient' } }],
      ['failed', { failed: { reason: 'no' } }],
      ['suppressed', { suppressed: { message: 'listed' } }],
      ['delivered', {}],
    ] as const)
      expect(await post(event(type, { ...about, ...more }))).toEqual({ status: 200, noted: true });
    expect((await notesOf(id)).map(({ type }) => type)).toEqual([
      'delivery_delayed',
      'bounced',
      'failed',
      'suppressed',
      'delivered',
    ]);
    expect(await suppressed()).not.toHaveProperty('fine@b.test');
  });

  it('finds its message by what the provider called it, when it has no tag', async () => {
    const id = await enqueue();
    const outbox = createPostgresOutbox(database.db);
    const [claim] = await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [id] });
    const notes = [{ type: 'accepted', reference: 'ref-7' }];
    await outbox.settle([{ id, claimToken: claim!.claimToken, to: 'delivered', then: [], notes }]);
    await post(event('delivered', { email_id: 'ref-7' }));
    expect((await notesOf(id)).map(({ type }) => type)).toEqual(['accepted', 'delivered']);
  });

  it('is noted once, however often it is told, and each of its recipients', async () => {
    const id = await enqueue();
    const body = event('complained', { to: ['x@b.test', 'w@b.test'], ...tagged(id) });
    const again = { id: `msg_${randomUUID()}` };
    expect(await post(body, headersOf(body, again))).toEqual({ status: 200, noted: true });
    expect(await post(body, headersOf(body, { ...again, at: now() - 60 }))).toEqual({
      status: 200,
      noted: false,
    });
    expect((await notesOf(id)).map(({ recipient }) => recipient)).toEqual(['w@b.test', 'x@b.test']);
  });

  it('that is repeated suppresses nobody: a person may have taken the address off the list', async () => {
    const id = await enqueue();
    const body = event('bounced', { to: ['back@b.test', 'here@b.test'], bounce, ...tagged(id) });
    const same = { id: `msg_${randomUUID()}` };
    const both = await Promise.all([1, 2].map(() => post(body, headersOf(body, same))));
    expect(both).toEqual(expect.arrayContaining([true, false].map((noted) => ({ status: 200, noted }))));
    expect(await suppressed()).toMatchObject({ 'back@b.test': 'bounced', 'here@b.test': 'bounced' });
    await unsuppress(database.db, 'back@b.test');
    expect(await post(body, headersOf(body, same))).toEqual({ status: 200, noted: false });
    expect(await suppressed()).not.toHaveProperty('back@b.test');
  });

  it('of a message that is not ours is no error, and nothing goes to its recipient any more', async () => {
    expect(await post(event('bounced', { bounce, to: ['other@b.test'] }))).toEqual({
      status: 200,
      noted: false,
    });
    expect(await suppressed()).toMatchObject({ 'other@b.test': 'bounced' });
  });

  it('is written whole or not at all', async () => {
    const id = await enqueue();
    await database.db.executeSql(`
      create function fail() returns trigger language plpgsql as $$ begin raise 'no room'; end $$;
      create trigger fail before insert on waybill.outbox_notes for each row
        when (new.recipient = 'atomic@b.test') execute function fail()`);
    const data = { to: ['atomic@b.test'], bounce, ...tagged(id) };
    expect(await post(event('bounced', data))).toMatchObject({ status: 500 });
    expect(await suppressed()).not.toHaveProperty('atomic@b.test');
    expect(await notesOf(id)).toEqual([]);
  });

  it('may hold what Postgres cannot', async () => {
    const id = await enqueue();
    const data = { ...tagged(id), subject: 'a\0b', failed: { reason: 'a\0b\ud800' } };
    expect(await post(event('failed', data))).toEqual({ status: 200, noted: true });
    expect(await notesOf(id)).toMatchObject([{ detail: 'a\u2400b\ufffd' }]);
  });

  it.each(['opened', 'clicked', 'sent'])('of a kind that means nothing here (%s): 200', async (type) => {
    const id = await enqueue();
    expect(await post(event(type, tagged(id)))).toEqual({ status: 200, noted: false });
    expect(await notesOf(id)).toEqual([]);
  });
});

describe('the signature', () => {
  it.each(['svix', 'webhook'] as const)('in the headers %s-*', async (prefix) => {
    const body = event('delivered');
    expect(await post(body, headersOf(body, { prefix }))).toMatchObject({ status: 200 });
  });

  it('may be one of several, while the secret is changed', async () => {
    const body = event('delivered');
    const headers = headersOf(body);
    headers['svix-signature'] = `v1,bm9uZQ== v2,x ${headers['svix-signature']}`;
    expect(await post(body, headers)).toMatchObject({ status: 200 });
  });

  const other = 'whsec_b3RoZXIgc2VjcmV0IG9mIHNvbWVib2R5';
  it.each<[title: string, change: (body: string) => Record<string, string>]>([
    ['is of another body', (body) => headersOf(`${body} `)],
    ['is made with another secret', (body) => headersOf(body, { key: other })],
    ['is of another id', (body) => ({ ...headersOf(body), 'svix-id': 'msg_other' })],
    ['is of another time', (body) => ({ ...headersOf(body), 'svix-timestamp': String(now() - 9) })],
    ['is too old', (body) => headersOf(body, { at: now() - 310 })],
    ['is of the future', (body) => headersOf(body, { at: now() + 310 })],
    ['is missing', () => ({})],
    ['is empty', (body) => ({ ...headersOf(body), 'svix-signature': '' })],
    ['has no value', (body) => ({ ...headersOf(body), 'svix-signature': 'v1' })],
    ['has no known version', (body) => ({ ...headersOf(body), 'svix-signature': 'v2,bm9uZQ==' })],
    ['comes without a time', (body) => ({ ...headersOf(body), 'svix-timestamp': 'now' })],
    [
      'stands beside an id of the other form',
      (body) => ({ ...headersOf(body, { prefix: 'webhook' }), 'svix-id': 'msg_1' }),
    ],
  ])('that %s is not believed', async (_, change) => {
    const id = await enqueue();
    const body = event('bounced', { bounce, to: ['innocent@b.test'], ...tagged(id) });
    const answer = await post(body, change(body));
    expect(answer).toMatchObject({ status: 401, code: 'webhook_signature_invalid' });
    expect(JSON.stringify(answer)).not.toContain(secret.slice(6));
    expect(await notesOf(id)).toEqual([]);
    expect(await suppressed()).not.toHaveProperty('innocent@b.test');
  });
});

describe('what cannot be taken', () => {
  it('without a secret: 503, with the name of the variable, whatever comes', async () => {
    expect(await post(event('delivered'), {}, closed)).toMatchObject({
      status: 503,
      code: 'webhook_closed',
      detail: expect.stringContaining('RESEND_WEBHOOK_SECRET') as string,
    });
  });

  it.each(['', 'no json', '[]', '{"type":"email.bounced","data":{}}'])('%j, signed: 400', async (body) => {
    expect(await post(body)).toMatchObject({ status: 400, code: 'webhook_invalid' });
  });

  it.each([300_000, 1_100_000])('%i bytes: 413', async (size) => {
    const body = JSON.stringify({ type: 'x', data: 'x'.repeat(size) });
    const detail = 'the body may have 262144 bytes at most';
    expect(await post(body)).toMatchObject({ status: 413, code: 'body_too_large', detail });
  });

  it('an empty Content-Type: 415, which says so', async () => {
    const answer = await web.server.inject({
      method: 'POST',
      url: '/webhooks/resend',
      headers: { 'content-type': '' },
      payload: '{}',
    });
    expect(answer.json()).toMatchObject({
      status: 415,
      code: 'unsupported_media_type',
      detail: 'the field Content-Type is no media type, such as application/json',
    });
  });

  it('GET: 405; another webhook: 404', async () => {
    const got = await web.server.inject({ method: 'GET', url: '/webhooks/resend' });
    expect([got.statusCode, got.headers['allow']]).toEqual([405, 'POST']);
    expect((await web.server.inject({ method: 'POST', url: '/webhooks/other' })).statusCode).toBe(404);
  });

  it('other routes read JSON as before', async () => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
    const url = '/admin/outbox/retry';
    const answer = await web.server.inject({ method: 'POST', url, payload: '{"a":', headers });
    expect(answer.json()).toMatchObject({ code: 'body_not_json' });
  });
});
