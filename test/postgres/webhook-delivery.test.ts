// Webhooks from the recording to the answer. Real: Postgres, HTTP servers on this machine, drains. Doubled: nothing; times are moved in the rows, so that
// days pass at once.

import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { GroupFailing } from '../../src/queues/circuit.ts';
import { allowNothing } from '../../src/webhook/allow-list.ts';
import { createPost } from '../../src/webhook/post.ts';
import { copy } from '../../src/acts/copy.ts';
import { defineEndpoint, type Endpoint } from '../../src/define/endpoint.ts';
import { enqueueWebhook } from '../../src/define/recorder.ts';
import { ActionError } from '../../src/define/action-error.ts';
import { PermanentError } from '../../src/delivery/failure.ts';
import { createWebhooks, deliverWebhook } from '../../src/delivery/webhook.ts';
import { WaybillError } from '../../src/errors.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { showMessage } from '../../src/operate/read.ts';
import type { WebhookAnswer } from '../../src/testing/webhook-receiver.ts';
import { startFakeWebhookReceiver } from '../../src/testing/webhook-receiver.ts';
import { until } from '../support/wait.ts';
import { newer, older, payload, secrets, webhookWorld, type WebhookWorld } from '../support/webhooks.ts';

let world: WebhookWorld;
let now: WebhookWorld['now'];
beforeAll(async () => {
  world = await webhookWorld();
  ({ now } = world);
});
beforeEach(() => world.reset());
afterAll(() => world.end());

const log = createLog({ level: 'silent', role: 'test' });
const show = (id: string) => showMessage(world.database.db, id);

describe('a webhook', () => {
  it('is posted with a signature by each secret, and the answer is on its timeline', async () => {
    now.answer = () => ({ status: 200, body: 'thank you' });
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ delivered: 1 });
    expect(await world.lookedUp()).toBe(0);
    const [request] = world.receiver.received;
    expect(request).toMatchObject({
      id,
      signedWith: older,
      payload: { type: 'order.paid', at: '2026-11-30T08:00:00.000Z' },
    });
    expect(request!.headers['content-type']).toBe('application/json');
    expect(request!.headers['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
    const { status, notes } = await show(id);
    expect(status).toBe('delivered');
    expect(notes).toMatchObject([
      { type: 'accepted', detail: expect.stringMatching(/^200 in \d+ ms: thank you$/) },
    ]);
    expect(await world.group()).toBeUndefined(); // nothing was written of a group that works
  });

  it('is accepted by a receiver that knows only the new secret', async () => {
    const only = await startFakeWebhookReceiver({ secrets: [newer] });
    now.address = () => ({ url: only.url, secrets });
    await world.send();
    expect(await world.drain()).toMatchObject({ delivered: 1 });
    expect(only.received).toMatchObject([{ signedWith: newer }]);
    await only.close();
  });

  it('that is retried has the same id, and goes where the endpoint is now, with the secrets that it has now', async () => {
    now.answer = () => 500;
    now.address = () => ({ url: `${world.receiver.url}old`, secrets: [older] });
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ retried: 1 });
    now.answer = () => 204;
    now.address = () => ({ url: `${world.receiver.url}new`, secrets: [newer] });
    await world.pass();
    expect(await world.drain()).toMatchObject({ delivered: 1 });
    expect(world.receiver.received).toMatchObject([
      { id, path: '/old', signedWith: older },
      { id, path: '/new', signedWith: newer },
    ]);
    const { rows } = await world.database.db.executeSql(
      `select m::text as row from waybill.outbox_messages m`,
    );
    expect(JSON.stringify(rows)).not.toMatch(/whsec|127\.0\.0\.1/); // neither url nor secret is in the row
  });

  it('that failed waits as Standard Webhooks recommends, and is dead after ten attempts', async () => {
    now.answer = () => ({ status: 500, body: 'our database is away' });
    const id = await world.send();
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      await world.drain();
      const { rows } = await world.database.db.executeSql<{ s: number }>(
        `select extract(epoch from available_at - now())::float8 as s from waybill.outbox_messages`,
      );
      waits.push(rows[0]!.s);
      await world.pass();
    }
    const recommended = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (const [i, seconds] of recommended.entries()) {
      expect(waits[i]).toBeGreaterThan(seconds * 0.9 - 5);
      expect(waits[i]).toBeLessThan(seconds * 1.1 + 1);
    }
    const { status, lastError, attempts } = await show(id);
    expect([status, attempts.length]).toEqual(['dead', 10]);
    expect(lastError).toMatch(/^127\.0\.0\.1:\d+ answered 500 in \d+ ms: our database is away$/);
  });

  it('waits for as long as the endpoint asks, a day at most, and so do the others of the endpoint', async () => {
    now.answer = () => ({ status: 429, headers: { 'retry-after': '3600' } });
    const [first, second] = [await world.send(), await world.send()];
    await world.drain();
    now.answer = () => 204;
    const { attemptCount: a, waitsFor } = await show(second);
    expect(waitsFor ?? (await show(first)).waitsFor).toMatchObject({ state: 'held', group: 'customer:c1' });
    expect(a).toBeLessThanOrEqual(1);
    const seconds = `select extract(epoch from held_until - now())::float8 as s from waybill.queue_groups`;
    const held = async () => (await world.database.db.executeSql<{ s: number }>(seconds)).rows[0]!.s;
    expect(await held()).toBeGreaterThan(3_500);
    expect(await world.drain()).toMatchObject({ claimed: 0 });
    await world.database.db.executeSql('truncate waybill.queue_groups');
    await world.pass();
    now.answer = () => ({ status: 503, headers: { 'retry-after': '900000' } });
    await world.drain();
    expect(await held()).toBeLessThanOrEqual(86_400);
  });

  it('follows others of a drain over one connection, which the drain closes', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((_, response) => void response.writeHead(204).end());
    server.on('connection', (socket: Socket) => sockets.add(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    now.address = () => ({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secrets });
    for (let i = 0; i < 3; i++) await world.send();
    expect(await world.drain(1, { batchSize: 1, untilEmpty: true })).toMatchObject({ delivered: 3 });
    expect(sockets.size).toBe(1);
    await until(() => [...sockets].every((socket) => socket.closed));
    await new Promise((resolve) => server.close(resolve));
  });

  it('whose request is under way when its worker ends uses no attempt, and is due at once', async () => {
    now.answer = () => 'hang';
    const id = await world.send();
    const ending = new AbortController();
    const drained = world.drain(1, { signal: ending.signal });
    await until(() => world.receiver.received.length === 1);
    ending.abort();
    expect(await drained).toMatchObject({ claimed: 1, retried: 0, dead: 0 });
    expect(await show(id)).toMatchObject({ attemptCount: 0, lastError: null });
    expect(await world.group()).toMatchObject({ due: 1, failing: null });
    now.answer = () => 204;
    expect(await world.drain()).toMatchObject({ delivered: 1 });
    expect(world.receiver.received.map((one) => one.id)).toEqual([id, id]);
  });

  it('whose endpoint was deleted is dead, and says so', async () => {
    now.address = () => null;
    const id = await world.send('gone');
    expect(await world.drain()).toMatchObject({ dead: 1 });
    expect(await show(id)).toMatchObject({
      status: 'dead',
      lastError: 'endpoint_gone: the endpoint customer has no "gone" any more',
    });
    expect(world.receiver.received).toEqual([]);
  });

  it('whose resolve fails is tried again, and the endpoint is not at fault', async () => {
    now.address = () => Promise.reject(new Error('our own database is away'));
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ retried: 1 });
    expect(await show(id)).toMatchObject({
      status: 'failed',
      lastError: expect.stringMatching(/our own database is away/),
    });
    expect(await world.group()).toMatchObject({ failing: null });
  });

  it.each([
    ['a row that does not parse', () => z.object({ url: z.url() }).parse({ url: 1 }), /not valid/],
    ['an ActionError', () => { throw new ActionError(404, 'no_customer', 'no such customer') }, /no_customer/],
    ['a PermanentError', () => { throw new PermanentError('never again') }, /never again/],
    ['an error of ours', () => { throw new WaybillError('endpoint_invalid', 'a mistake') }, /a mistake/],
    ['one that says that it is ambiguous', () => { throw Object.assign(new Error('who knows'), { ambiguous: true }) }, /who knows/],
  ])('whose resolve throws %s is tried again, not dead', async (_, thrown, reason) => {
    now.address = thrown as never;
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ retried: 1, dead: 0 });
    const { lastError, attempts } = await show(id);
    expect(lastError).toMatch(reason);
    expect(attempts).toMatchObject([{ outcome: 'retried' }]);
    expect(await world.group()).toMatchObject({ failing: null });
  }); // prettier-ignore

  it.each([
    ['of another form', { to: 7 }],
    ['with an id that a header cannot carry', { to: 'c1', body: {}, id: '日' }],
    ['with an id that a header carries in another encoding', { to: 'c1', body: {}, id: 'ü' }],
    ['with an id of two lines', { to: 'c1', body: {}, id: 'a\nb' }],
  ])('that is stored %s is dead', async (_, stored) => {
    const message = { kind: 'job', name: 'webhook:customer', queue: 'webhooks', payload: stored } as const;
    const { id } = await world.outbox().enqueue(message);
    expect(await world.drain()).toMatchObject({ dead: 1 });
    expect((await show(id)).lastError).toMatch(/^not valid|payload/);
    expect(world.receiver.received).toEqual([]);
  });

  it.each([
    ['no secret', { secrets: [] }, /secrets must be a list with at least one/],
    ['no list of secrets', { secrets: older as never }, /secrets must be a list with at least one/],
    ['a short secret', { secrets: ['whsec_AAAA'] }, /secrets\[0\] must be whsec_/],
    ['a secret that is no base64', { secrets: [older, 'whsec_!'] }, /secrets\[1\] must be whsec_/],
    ['eleven secrets', { secrets: Array.from({ length: 11 }, () => older) }, /at most 10/],
    ['no url', { url: undefined as never }, /must return \{ url, secrets \}, both as texts, or null/],
    ['a url as an object', { url: new URL('https://a.test') as never }, /must return \{ url, secrets \}/],
    ['a url that throws', Object.defineProperty({}, 'url', { enumerable: true, get: () => { throw new Error('a getter') } }), /a getter/],
  ])('whose resolve returns %s waits for the next version, and the endpoint is not at fault', async (_, over, reason) => {
    now.address = () => Object.defineProperties({ url: world.receiver.url, secrets }, Object.getOwnPropertyDescriptors(over));
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ retried: 1 });
    expect((await show(id)).lastError).toMatch(reason);
    expect((await show(id)).lastError).not.toMatch(/whsec_[A-Z]{4}/);
    expect(await world.group()).toMatchObject({ failing: null });
    expect(world.receiver.received).toEqual([]);
  }); // prettier-ignore

  it.each([
    ['a url that is none', { url: 'somewhere' }, /^webhook_refused: the url must be an absolute URL/],
    [
      'a private url',
      { url: 'https://10.0.0.1/' },
      /^webhook_refused: 10\.0\.0\.1 is not a public address \(private\)/,
    ],
    ['plain http', { url: 'http://example.com/' }, /must begin with https/],
  ])('of an endpoint with %s is dead at once, and says why', async (_, over, reason) => {
    now.address = () => ({ secrets, ...over });
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ dead: 1 });
    expect((await show(id)).lastError).toMatch(reason);
    expect((await show(id)).lastError).not.toMatch(/whsec_[A-Z]{4}/);
    expect(world.receiver.received).toEqual([]);
  });

  it('to a name with an address inside your network is dead, and the owner of the endpoint does not learn the address', async () => {
    const { db } = world.database;
    const ports = { db, outboxOn: createPostgresOutbox, emailFrom: null, registry: world.registry, log };
    const inside = createPost(allowNothing, async () => ['10.3.7.9']);
    const webhooks = { ...createWebhooks(), post: inside };
    const tried = async (url: string) => {
      now.address = () => ({ url, secrets });
      await world.send();
      const [message] = await world.outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w' });
      const endpoint = world.customer as unknown as Endpoint;
      const { signal } = new AbortController();
      const { outcome, group } = await deliverWebhook(endpoint, message!, signal, { ...ports, webhooks });
      const told = (group as GroupFailing).parked({ since: new Date(), failures: 5 });
      return { failure: outcome.type === 'failure' && outcome.failure, told: told?.payload };
    };
    for (const [url, address] of [['https://db.prod.example/', '10.3.7.9'], ['https://10.3.7.8/', '10.3.7.8'], ['https://localhost/', 'localhost']] as const) {
      const { failure, told } = await tried(url);
      expect(failure).toMatchObject({ type: 'permanent', message: expect.stringContaining(`${address} is not a public address`) });
      expect(told).toMatchObject({ reason: 'webhook_refused: the host has no public address' });
    }
    expect((await tried('https://intranet/')).told).toMatchObject({ reason: 'webhook_refused: the host intranet is no full name on the internet' });
  }); // prettier-ignore

  it('whose resolve hangs is tried again, and says that it hung', async () => {
    const { db } = world.database;
    now.address = () => new Promise(() => undefined);
    await world.send();
    const [message] = await world.outbox().claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w' });
    const ports = { db, outboxOn: createPostgresOutbox, emailFrom: null, registry: world.registry, log };
    const { outcome, group } = await deliverWebhook(
      world.customer as unknown as Endpoint,
      message!,
      new AbortController().signal,
      { ...ports, webhooks: createWebhooks(undefined, 50) },
    );
    const words = 'resolve of the endpoint customer took longer than 0.05 s';
    expect(outcome).toMatchObject({ type: 'failure', failure: { type: 'transient', message: words } });
    expect(group).toEqual({ isOk: false, isHung: true, reason: words });
  }); // prettier-ignore

  it('has the keys of its endpoint: each endpoint gets the same event, once', async () => {
    const options = { deliveryKey: 'order-1', orderKey: 'order-1' };
    const send = (to: string) => enqueueWebhook(world.outbox(), world.customer.to(to), payload, options);
    expect([await send('c1'), await send('c2'), await send('c1')]).toMatchObject([
      { duplicate: false },
      { duplicate: false },
      { duplicate: true },
    ]);
    await world.drain();
    expect(world.receiver.received).toHaveLength(2);
    for (const [to, deliveryKey] of [['a', 'b/c'], ['a/b', 'c'], ['a%2Fb', 'c']] as const)
      expect(await enqueueWebhook(world.outbox(), world.customer.to(to), payload, { deliveryKey })).toMatchObject({ duplicate: false });
    const debounced = { deliveryKey: 'order-2', debounce: '5s' } as const;
    const ids = ['c1', 'c2'].map((to) => enqueueWebhook(world.outbox(), world.customer.to(to), payload, debounced));
    expect((await Promise.all(ids)).map(({ replaced }) => replaced)).toEqual([undefined, undefined]);
  }); // prettier-ignore

  it('that is copied to another endpoint is of its group; a copy needs the form of a webhook', async () => {
    const ports = { db: world.database.db, maxPayloadBytes: 100_000, payloadKeys: [] };
    const actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: null } as const;
    const id = await world.send();
    const to = await copy(ports, actor, id, { payload: { to: 'c2', body: { type: 'a' } } });
    expect([to.group, (await copy(ports, actor, id)).group]).toEqual(['customer:c2', 'customer:c1']);
    const wrongId = /: id: must be 1 to 64 characters from ! to ~$/;
    for (const [bad, message] of [
      [{ x: 1 }, /: to: .*; body: /],
      [{ to: 'c2', body: 1, id: '日' }, wrongId],
      [{ to: 'c2', body: 1, id: '' }, wrongId],
    ] as const)
      await expect(copy(ports, actor, id, { payload: bad })).rejects.toMatchObject({
        code: 'payload_invalid',
        message: expect.stringMatching(message),
      });
  });

  it('that is copied to another endpoint has its order key there, and waits for none of the first', async () => {
    const ports = { db: world.database.db, maxPayloadBytes: 100_000, payloadKeys: [] };
    const actor = { by: 'ann', key: null, via: 'cli', requestId: null, reason: null } as const;
    const ordered = { orderKey: 'order-1' };
    const { id } = await enqueueWebhook(world.outbox(), world.customer.to('a/b'), payload, ordered);
    const keyOf = async (changes = {}) => (await copy(ports, actor, id, changes)).orderKey;
    expect(await keyOf()).toBe('a%2Fb/order-1');
    expect(await keyOf({ payload: { to: 'a/b', body: {} } })).toBe('a%2Fb/order-1');
    expect(await keyOf({ payload: { to: 'c/d', body: {} } })).toBe('c%2Fd/order-1');
    expect(await keyOf({ payload: { to: '/'.repeat(130), body: {} } })).toBeNull(); // too long there
  });

  it.each([
    ['nothing', undefined],
    ['a function', () => 1],
  ])('with a payload that is %s is not recorded', async (_, given) => {
    const any = defineEndpoint({ name: 'any', payload: z.any(), url: 'https://a.example.com', secrets });
    await expect(enqueueWebhook(world.outbox(), any, given)).rejects.toMatchObject({ code: 'payload_invalid' });
  }); // prettier-ignore

  it('to a name that has no address is tried again', async () => {
    now.address = () => ({ url: 'https://nobody.invalid/', secrets });
    const id = await world.send();
    expect(await world.drain()).toMatchObject({ retried: 1 });
    expect((await show(id)).lastError).toMatch(/^no answer of nobody\.invalid: /);
  });

  it('with a payload that does not fit is not recorded', async () => {
    const bad = { type: 7 } as never;
    await expect(enqueueWebhook(world.outbox(), world.customer.to('c1'), bad)).rejects.toMatchObject({
      code: 'payload_invalid',
    });
    const large = { a: 'x'.repeat(300_000) };
    await expect(enqueueWebhook(world.outbox(), world.own, large)).rejects.toMatchObject({
      code: 'payload_too_large',
    });
    await expect(enqueueWebhook(world.outbox(), world.customer as never, payload)).rejects.toMatchObject({
      code: 'endpoint_invalid',
    });
    await expect(enqueueWebhook(world.outbox(), {} as never, payload)).rejects.toMatchObject({
      code: 'endpoint_invalid',
    });
  });
});

describe('an answer', () => {
  const shown = async (given: WebhookAnswer, send = world.send): Promise<string> => {
    now.answer = () => given;
    const id = await send();
    await world.pass();
    await world.drain();
    const { notes, lastError } = await show(id);
    return (notes[0]?.detail ?? lastError ?? '')
      .replace(/in \d+ ms/, 'in n ms')
      .replace(/:\d+ answered/, ' answered');
  };

  it('of 10 MB is read to the first KB', async () => {
    const text = await shown({ status: 200, body: 'x'.repeat(10_000_000) });
    expect(text).toBe(`200 in n ms: ${'x'.repeat(1_024)}`);
  });

  it('in another encoding is shown as text; one that is packed is not unpacked', async () => {
    const latin1 = { 'content-type': 'text/plain; charset=iso-8859-1' };
    expect(await shown({ status: 200, headers: latin1, body: Buffer.from('gr\u00fcn', 'latin1') })).toBe(
      '200 in n ms: grün',
    );
    expect(
      await shown({ status: 200, headers: { 'content-type': 'text/plain; charset=klingon' }, body: 'Qapla' }),
    ).toBe('200 in n ms: Qapla');
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    expect(await shown({ status: 200, headers: { 'content-encoding': 'gzip' }, body: bomb })).toBe(
      '200 in n ms: (a body in the encoding gzip, which is not unpacked)',
    );
    expect(await shown({ status: 200, body: Buffer.from([0, 0xff, 0xfe, 0x41]) })).toBe(
      '200 in n ms: \u2400\ufffd\ufffdA',
    );
  });

  it('that repeats the secret and the token of a URL shows neither', async () => {
    const text = await shown({
      status: 200,
      body: `you signed with ${older} and Bearer abcdefghijklmnopqrstuvwxyz`,
    });
    expect(text).not.toMatch(/MfKQ9r8|abcdefghijkl/);
  });

  it.each([
    ['cut by the end of the KB', (base64: string) => `${'.'.repeat(993)}${base64}`],
    ['as PHP writes JSON', (base64: string) => JSON.stringify({ base64 }).replaceAll('/', '\\/')],
    ['in a URL', (base64: string) => `https://a.test/?s=${encodeURIComponent(base64)}`],
  ])('that repeats a secret %s does not show it', async (_, body) => {
    const secret = `whsec_${'Pj4/fn5+Pz8/'.repeat(4)}`;
    now.address = () => ({ url: world.receiver.url, secrets: [secret] });
    expect(await shown({ status: 200, body: body(secret.slice(6)) })).not.toMatch(/Pj4|fn5/);
  });

  it.each([
    ['as Express does', 'hooks/T0KEN', 'Cannot POST /hooks/T0KEN'],
    ['with its parameters', 'hooks?a=1&key=T0KEN', '{"path":"\\/hooks?a=1&key=T0KEN"}'],
    ['as HTML', 'hooks?a=1&key=T0KEN', '<p>/hooks?a=1&amp;key=T0KEN is unknown'],
    ['decoded', 'hooks/T0KEN%20%E6%97%A5', 'no route /hooks/T0KEN 日'],
    ['decoded wrongly', 'hooks/T0KEN%E6', 'no route /hooks/T0KEN%E6'],
    ['in another url', 'hooks/T0KEN?b=2', 'see https://status.test/?of=%2Fhooks%2FT0KEN%3Fb%3D2'],
    ['without its path', 'hooks/T0KEN-T0KEN-1', 'unknown hook T0KEN-T0KEN-1'],
    ['without its other parameters', 'hooks?a=1&key=T0KEN-T0KEN-1', 'unknown key T0KEN-T0KEN-1'],
    ['cut by the end of the KB', `hooks/T0KEN${'0'.repeat(1_900)}`, `${'.'.repeat(1_000)}/hooks/T0KEN${'0'.repeat(1_900)}`],
  ])('that repeats the path of the url %s does not show it', async (_, path, body) => {
    now.address = () => ({ url: `${world.receiver.url}${path}`, secrets });
    const answer = { status: 404, headers: { 'content-type': 'text/html; charset=utf-8' }, body };
    const text = await shown(answer);
    expect(text).toMatch(/answered 404 in n ms: .*…/);
    expect(text).not.toContain('T0KEN');
    const { rows } = await world.database.db.executeSql<{ text: string }>(
      `select m::text as text from waybill.outbox_messages m union all select g::text from waybill.queue_groups g
       union all select a::text from waybill.outbox_attempts a`,
    );
    expect(JSON.stringify(rows)).not.toContain('T0KEN');
  }); // prettier-ignore

  it('of a url without a path is shown whole', async () => {
    expect(await shown({ status: 404, body: 'Cannot POST /' })).toMatch(
      /answered 404 in n ms: Cannot POST \/$/,
    );
  });

  it('of several lines is one line', async () => {
    expect(await shown({ status: 200, body: 'ok\n2026-11-30 12:00:00 accepted\r\n\tby nobody' })).toBe(
      '200 in n ms: ok 2026-11-30 12:00:00 accepted by nobody',
    );
  });

  it.each([200, 500])('%i of an endpoint with sensitive payloads keeps no text', async (status) => {
    const { db } = world.database;
    now.answer = () => ({ status, body: 'iban DE02120300000000202051' });
    const { id } = await enqueueWebhook(world.outbox(), world.secret.to('c1'), { iban: 'DE02120300000000202051' });
    await world.drain();
    const { notes, lastError } = await show(id);
    expect(notes[0]?.detail ?? lastError).toMatch(status === 200 ? /^200 in \d+ ms$/ : /answered 500 in \d+ ms$/);
    const texts = await db.executeSql(
      `select n::text from waybill.outbox_notes n union all select m::text from waybill.outbox_messages m union all
       select g::text from waybill.queue_groups g union all select a::text from waybill.outbox_attempts a`,
    );
    expect(JSON.stringify(texts.rows)).not.toContain('DE02');
  }); // prettier-ignore

  it('that redirects is a failure, with the host that it names', async () => {
    const headers = { location: 'http://169.254.169.254/latest/meta-data?token=a' };
    expect(await shown({ status: 302, headers })).toBe(
      '127.0.0.1 answered 302 in n ms, a redirect to 169.254.169.254, which is not followed',
    );
  });

  it('that changes the protocol is none', async () => {
    const server = createServer((_, response) => {
      response.socket?.end(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    now.address = () => ({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secrets });
    expect(await shown(204)).toMatch(/^(no answer of|127\.0\.0\.1 answered 101)/);
    await new Promise((resolve) => server.close(resolve));
  });

  it('that never comes ends after the timeout, and that never ends is read for a moment', async () => {
    expect(await shown('hang', world.sendHastily)).toMatch(
      /^no answer of 127\.0\.0\.1:\d+: no answer within 0\.3 s$/,
    );
    await world.database.db.executeSql('truncate waybill.queue_groups');
    expect(await shown('drop')).toMatch(/^no answer of 127\.0\.0\.1:\d+: /);
    await world.database.db.executeSql('truncate waybill.queue_groups');
    const endless = createServer((_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 5);
      response.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => endless.listen(0, '127.0.0.1', resolve));
    now.address = () => ({ url: `http://127.0.0.1:${(endless.address() as AddressInfo).port}/`, secrets });
    expect(await shown(204)).toMatch(/^200 in n ms: \.+$/);
    await new Promise((resolve) => endless.close(resolve));
  });
});
