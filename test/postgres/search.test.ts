// The search of the admin API on real Postgres: filters, counts, groups and relations. Workers are doubled by claims of the test.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/define/app.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { errorKey } from '../../src/operate/grouping.ts';
import { listMessages } from '../../src/operate/read.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const readKey = 'a-key-for-reading-that-is-long-enough-1234';
let database: TestDatabase;
let web: TestWeb;
let outbox: OutboxPort;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, { WAYBILL_ADMIN_KEYS: `reader:read:${readKey}` });
  outbox = createPostgresOutbox(database.db);
});
beforeEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  await database.db.executeSql('truncate waybill.outbox_audit, waybill.outbox_keys');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

type Row = Record<string, unknown> & { id: string };
async function ask<T>(url: string, key = adminKey): Promise<{ status: number; body: T }> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await web.server.inject({ url: `/admin${url}`, headers });
  return { status: response.statusCode, body: response.json<T>() };
}
const page = async (query: string, key?: string) =>
  (await ask<{ messages: Row[]; nextCursor: string | null; bound?: unknown }>(`/outbox?${query}`, key)).body;
const found = async (query: string): Promise<string[]> => (await page(query)).messages.map(({ id }) => id);

const record = async (more: Partial<NewMessage> = {}): Promise<string> =>
  (await outbox.enqueue({ kind: 'job', name: 'work', queue: 'jobs', payload: { a: 1 }, ...more })).id;
const email = (payload: Record<string, unknown>, more: Partial<NewMessage> = {}): Promise<string> =>
  record({ kind: 'email', name: 'email', queue: 'email', payload, ...more });
const claim = (id: string) => outbox.claimBatch({ limit: 1, leaseMs: 5_000, workerId: 'w', ids: [id] });
async function fail(id: string, error: string, permanent = true): Promise<void> {
  const [claimed] = await claim(id);
  expect(await outbox.markFailed(id, claimed!.claimToken, error, { permanent })).toBe(true);
}

describe('filters', () => {
  it('to: finds an email by each recipient, in any case, and in every form of an address', async () => {
    const one = await email({
      to: [{ address: 'Ann@Example.com', name: 'Ann' }],
      cc: [{ address: 'cc@example.com' }],
      bcc: [{ address: 'bcc@example.com' }],
      subject: 'Hello',
    });
    const other = await email({ to: 'Ann B. <ann@example.com>', subject: 'x' });
    await email({ to: [{ address: 'joanne@example.com' }], subject: 'x' });
    await record({ payload: { to: 'ann@example.com' } });
    expect(await found('to=ANN@example.com')).toEqual([other, one]);
    expect(await found('to=cc@example.com')).toEqual([one]);
    expect(await found('to=bcc@example.com&to=joanne@example.com')).toHaveLength(2);
    expect(await found('to=nobody@example.com')).toEqual([]);
    const { rows } = await database.db.executeSql<{ text: string }>(
      `select recipient_hashes::text as text from waybill.outbox_messages where id = $1`,
      [one],
    );
    expect(rows[0]!.text).toMatch(/^\{("\\\\x[0-9a-f]{32}",?){3}\}$/);
  });

  it('to: follows a payload that is replaced, or changed by hand', async () => {
    const keyed = { deliveryKey: 'k', onDuplicate: 'replace' } as const;
    const id = await email({ to: [{ address: 'old@example.com' }], subject: 's' }, keyed);
    await email({ to: [{ address: 'new@example.com' }], subject: 's' }, keyed);
    expect(await found('to=new@example.com')).toEqual([id]);
    expect(await found('to=old@example.com')).toEqual([]);
    await database.db.executeSql(`update waybill.outbox_messages set payload = '{"erased": true}'`);
    expect(await found('to=new@example.com')).toEqual([]);
  });

  it('tag: finds messages with every tag that is given', async () => {
    const both = await record({ tags: ['tenant:acme', 'order:4711'] });
    const one = await record({ tags: ['tenant:acme'] });
    await record();
    expect(await found('tag=tenant:acme')).toEqual([one, both]);
    expect(await found('tag=tenant:acme&tag=order:4711')).toEqual([both]);
    expect((await page('tag=order:4711')).messages[0]!['tags']).toEqual(['tenant:acme', 'order:4711']);
  });

  it('keyPrefix: finds waiting, delivered, dead, cancelled and superseded messages by the beginning of their key', async () => {
    const waiting = await record({ deliveryKey: 'order-1' });
    const dead = await record({ deliveryKey: 'order-2' });
    await fail(dead, 'no');
    const cancelled = await record({ deliveryKey: 'order-3' });
    await outbox.cancel(cancelled);
    const delivered = await record({ deliveryKey: 'order-4' });
    await outbox.markDelivered(delivered, (await claim(delivered))[0]!.claimToken);
    const newer = await record({ deliveryKey: 'order-4', onDuplicate: 'replace' });
    await record({ deliveryKey: 'ordes' });
    await record({ deliveryKey: 'order_5' });
    expect(await found('keyPrefix=order-')).toEqual([newer, delivered, cancelled, dead, waiting]);
    expect(await found('keyPrefix=order-&status=dead')).toEqual([dead]);
    expect(await found('deliveryKey=order-4')).toEqual([newer, delivered]);
    expect(await found('keyPrefix=%25')).toEqual([]);
  });

  it('finds by request, trace, parent, worker, group and order key, and says how far it looked', async () => {
    const trace = 'a'.repeat(32);
    const parent = await record({ requestId: 'r1', traceparent: `00-${trace}-${'b'.repeat(16)}-01` });
    const child = await record({ parentId: parent, group: 'g', orderKey: 'account 7' });
    await claim(child);
    expect(await found('requestId=r1')).toEqual([parent]);
    expect(await found(`traceId=${trace.toUpperCase()}`)).toEqual([parent]);
    expect(await found(`parentId=${parent}`)).toEqual([child]);
    expect(await found('claimedBy=w')).toEqual([child]);
    expect(await found('group=g&orderKey=account%207')).toEqual([child]);
    expect((await page('requestId=r1&kind=job')).bound).toEqual({
      filters: ['requestId', 'kind'],
      messages: 100_000,
      reached: false,
    });
    expect((await page('kind=job')).bound).toBeUndefined();
  });

  it('payload: finds by values at paths, for keys with the role admin alone', async () => {
    const seven = await record({ payload: { customer: { id: 7, tags: ['x'] }, paid: true } });
    await record({ payload: { customer: { id: 8 } } });
    expect(await found('payload.customer.id=7')).toEqual([seven]);
    expect(await found('payload.customer.tags.0=x&payload.paid=true')).toEqual([seven]);
    expect(await found('payload.customer.id=7&payload.paid=false')).toEqual([]);
    expect(await ask('/outbox?payload.customer.id=7', readKey)).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    });
    expect(await ask('/outbox/count?payload.customer.id=7')).toMatchObject({ body: { count: 1 } });
  });

  it('an address, a trace or a parent that can be none is refused with its form', async () => {
    for (const [query, form] of [
      ['to=notanaddress', 'to must be an address'],
      ['to=ann@example.com&to=x', 'to must be an address'],
      ['traceId=xyz', '32 hex digits'],
      ['parentId=abc', 'a UUID'],
    ])
      expect(await ask(`/outbox?${query}`)).toMatchObject({
        status: 400,
        body: { code: 'invalid_filter', detail: expect.stringContaining(form!) as string },
      });
    expect(
      await found(`to=${encodeURIComponent('Ann <ann@example.com>')}&traceId=${'A'.repeat(32)}`),
    ).toEqual([]);
  });

  it('times: when a message is due, and since when it is dead', async () => {
    const inMs = (ms: number) => new Date(Date.now() + ms);
    const later = await record({ availableAt: inMs(3_600_000) });
    const now = await record();
    const dead = await record();
    await fail(dead, 'no');
    const at = (ms: number) => encodeURIComponent(inMs(ms).toISOString());
    expect(await found(`availableSince=${at(60_000)}`)).toEqual([later]);
    expect(await found(`availableUntil=${at(60_000)}&status=pending`)).toEqual([now]);
    expect(await found(`deadSince=${at(-60_000)}`)).toEqual([dead]);
    expect(await found(`deadSince=${at(60_000)}`)).toEqual([]);
  });

  it('order: pages lead through everything from the oldest on', async () => {
    const ids = [await record(), await record(), await record()];
    const first = await page('order=oldest&limit=2');
    expect(first.messages.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(await found(`order=oldest&limit=2&cursor=${first.nextCursor}`)).toEqual(ids.slice(2));
    expect(await ask(`/outbox?limit=2&cursor=${first.nextCursor}`)).toMatchObject({
      body: { code: 'invalid_cursor' },
    });
  });

  it('since, until: a duration before now, which a cursor goes on with', async () => {
    await database.db.executeSql(
      `update waybill.outbox_messages set created_at = now() - interval '90 minutes' where id = $1`,
      [await record()],
    );
    const ids = [await record(), await record()];
    const first = await page('since=1h&limit=1');
    expect(first.messages.map(({ id }) => id)).toEqual([ids[1]]);
    expect(await found(`since=1h&limit=1&cursor=${first.nextCursor}`)).toEqual([ids[0]]);
    expect(await ask(`/outbox?since=2h&cursor=${first.nextCursor}`)).toMatchObject({
      body: { code: 'invalid_cursor' },
    });
    expect(await found('since=2h&until=1h')).toHaveLength(1);
    expect(await ask('/outbox?since=1h&until=2h')).toMatchObject({ body: { code: 'empty_range' } });
  });

  it.each([
    ['order=up', 'invalid_order'],
    ['payload.=7', 'invalid_filter'],
    ['payload.a..b=7', 'invalid_filter'],
    ['payload.a=1&payload.b=1&payload.c=1&payload.d=1&payload.e=1&payload.f=1', 'invalid_filter'],
    ['payload.a=1&payload.a=2', 'invalid_filter'],
    ['payload=7', 'invalid_filter'],
    ['tags=a', 'unknown_parameter'],
    ['to=', 'invalid_filter'],
    ['deadSince=yesterday', 'invalid_time'],
    ['availableSince=2026-01-02T00:00Z&availableUntil=2026-01-01T00:00Z', 'empty_range'],
  ])('%s: 400 %s', async (query, code) => {
    expect(await ask(`/outbox?${query}`)).toMatchObject({ status: 400, body: { code } });
  });
});

describe('rows', () => {
  it('show the subject and a masked recipient of an email, also for the role read, and no payload', async () => {
    await email({ to: [{ address: 'ann@example.com', name: 'Ann' }], subject: 'Your order', text: 'secret' });
    const { messages } = await page('', readKey);
    expect(messages[0]).toMatchObject({ subject: 'Your order', recipient: 'a…@example.com', tags: [] });
    expect(JSON.stringify(messages)).not.toContain('secret');
    await email({ to: ['{"x": 1}'], subject: 7 });
    expect((await page('limit=1')).messages[0]).toMatchObject({ subject: '7', recipient: null });
    await record();
    expect((await page('limit=1')).messages[0]).toMatchObject({ subject: null, recipient: null });
  });

  it('show since when a message runs, and not while it is only prefetched', async () => {
    const runs = await record();
    await claim(runs);
    const waits = await record();
    expect(Object.fromEntries((await page('')).messages.map((m) => [m.id, m['runningSince']]))).toEqual({
      [runs]: expect.stringMatching(/^\d{4}-/) as string,
      [waits]: null,
    });
    await database.db.executeSql('update waybill.outbox_messages set prefetched = true where id = $1', [
      runs,
    ]);
    expect((await page('claimedBy=w')).messages[0]).toMatchObject({ runningSince: null });
  });

  it('say that the limit of the queue or the group is reached, or that the group is paused', async () => {
    const limits = (text: string) =>
      database.db.executeSql(`update waybill.queues set app_limits = $1 where name = 'jobs'`, [text]);
    try {
      await claim(await record({ group: 'g' }));
      const waiting = await record({ group: 'g' });
      await record({ group: 'other' });
      const waits = async () =>
        (await page('status=pending&order=oldest')).messages.map((m) => [m.id, m['waitsFor']]);
      expect((await waits()).map(([, wait]) => wait)).toEqual([null, null]);
      await limits('{"concurrency": 1}');
      expect((await waits())[0]).toEqual([
        waiting,
        expect.objectContaining({ state: 'limited', queue: 'jobs', reason: 'its limit of 1 are in flight' }),
      ]);
      await limits('{"groupConcurrency": 1}');
      expect((await waits()).map(([, wait]) => wait)).toEqual([
        expect.objectContaining({ state: 'limited', group: 'g' }),
        null,
      ]);
      await database.db.executeSql(
        `insert into waybill.queue_groups (queue, group_key, paused_at, paused_by) values ('jobs', 'g', now(), 'ann')`,
      );
      expect((await waits())[0]![1]).toMatchObject({ state: 'paused', group: 'g', by: 'ann', queue: 'jobs' });
    } finally {
      await limits('{}');
      await database.db.executeSql('truncate waybill.queue_groups');
    }
  });
});

describe('a bounded search', () => {
  it('ends at its bound, says so, and its cursor goes on behind it', async () => {
    await database.fill(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision, tags, request_id)
         select (lpad(to_hex(i), 8, '0') || '-0000-7000-8000-000000000000')::uuid, 'job', 'bulk', 'jobs', '{}', 5, 0,
                case when i < 10100 then '{common}'::text[] end, case when i = 1 then 'r1' end
           from generate_series(1, 100005) i`,
    );
    const first = await page('requestId=r1');
    expect(first).toMatchObject({ messages: [], bound: { filters: ['requestId'], reached: true } });
    const second = await page(`requestId=r1&cursor=${first.nextCursor}`);
    expect(second.messages).toHaveLength(1);
    expect(second).toMatchObject({ nextCursor: null, bound: { reached: false } });
    expect((await ask('/outbox/count?requestId=r1')).body).toMatchObject({ count: 0, atLeast: true });
    expect((await ask('/outbox/count')).body).toEqual({ count: 100_000, atLeast: true });
    expect(await found('tag=common&limit=2')).toHaveLength(2);
    expect((await ask('/outbox/count?tag=common&until=1971-01-01T00:00:00Z')).body).toEqual({ count: 0 });
  }, 120_000);
});

describe('groups', () => {
  it('of failures by normalised error, name and cause, most first, with samples', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 4; n++) {
      const id = await record({ name: n === 3 ? 'other' : 'work' });
      ids.push(id);
      await fail(
        id,
        `order ${n} of "user ${n}" (0199c0de-0000-7000-8000-00000000000${n}) failed after 1${n} ms`,
      );
    }
    const retried = await record();
    await fail(retried, 'connect ECONNREFUSED 10.0.0.1:25', false);
    type Grouped = { groups: { key: string | null; count: number; sampleIds: string[] }[]; rest: unknown };
    const by = async (what: string) => (await ask<Grouped>(`/outbox/groups?by=${what}`)).body;
    const { groups, rest } = await by('error');
    expect(groups.map(({ key, count }) => [key, count])).toEqual([
      ['order # of "…" (#) failed after # ms', 4],
      ['connect ECONNREFUSED #.#.#.#:#', 1],
    ]);
    expect(groups[0]!.sampleIds).toHaveLength(3);
    expect(ids).toEqual(expect.arrayContaining(groups[0]!.sampleIds));
    expect(rest).toEqual({ groups: 0, count: 0 });
    expect((await by('name')).groups.map(({ key, count }) => [key, count])).toEqual([
      ['work', 4],
      ['other', 1],
    ]);
    expect((await by('cause')).groups.map(({ key, count }) => [key, count])).toEqual([
      ['permanent', 4],
      [null, 1],
    ]);
    expect((await by('error&limit=1')).rest).toEqual({ groups: 1, count: 1 });
    expect((await by('error&status=failed')).groups).toHaveLength(1);
    expect((await by('error&name=other&window=1h')).groups).toMatchObject([{ count: 1 }]);
  });

  it('of messages by tag and group, whatever their state', async () => {
    await record({ tags: ['a', 'b'], group: 'g' });
    await record({ tags: ['a'] });
    const by = async (what: string) =>
      (await ask<{ groups: { key: string; count: number }[] }>(`/outbox/groups?by=${what}`)).body.groups;
    expect(await by('tag')).toMatchObject([
      { key: 'a', count: 2 },
      { key: 'b', count: 1 },
    ]);
    expect(await by('group')).toMatchObject([{ key: 'g', count: 1 }]);
  });

  it.each([
    ['', 'invalid_by'],
    ['by=eror', 'invalid_by'],
    ['by=error&window=2h', 'invalid_window'],
    ['by=error&limit=0', 'invalid_limit'],
    ['by=error&order=oldest', 'unknown_parameter'],
  ])('?%s: 400 %s', async (query, code) => {
    expect(await ask(`/outbox/groups?${query}`)).toMatchObject({ status: 400, body: { code } });
  });

  it('errors that differ only in numbers, ids, quotes, or addresses have one key', () => {
    expect(errorKey("550 5.1.1 <ann@example.com>: user 'ann' unknown")).toBe(
      errorKey("550 5.1.1 <bob.b@example.com>: user 'bob' unknown"),
    );
    expect(errorKey('id deadbeef01 gone')).toBe(errorKey('id 99a0 gone'));
    expect(errorKey('added a face')).toBe('added a face');
  });
});

describe('related', () => {
  it('names parent and children, and messages of the same request, trace and key', async () => {
    const traceparent = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`;
    const parent = await record({ requestId: 'r' });
    const own = await record({ parentId: parent, requestId: 'r', traceparent, deliveryKey: 'k' });
    const child = await record({ parentId: own, traceparent });
    await fail(own, 'no');
    const again = await record({ deliveryKey: 'k' });
    await record({ deliveryKey: 'k', name: 'other' });
    const ids = (rows: Row[]): string[] => rows.map(({ id }) => id);
    type Related = { parent: Row; bound: unknown } & Record<
      'children' | 'sameRequest' | 'sameTrace' | 'sameKey',
      Row[]
    >;
    const { body } = await ask<Related>(`/outbox/${own}/related`, readKey);
    expect(body.parent.id).toBe(parent);
    expect(ids(body.children)).toEqual([child]);
    expect(ids(body.sameRequest)).toEqual([parent]);
    expect(ids(body.sameTrace)).toEqual([child]);
    expect(ids(body.sameKey)).toEqual([again]);
    expect(body.bound).toMatchObject({ messages: 100_000, reached: false });
    expect(JSON.stringify(body)).not.toContain('payload');
    expect(await ask('/outbox/0199c0de-0000-7000-8000-000000000000/related')).toMatchObject({ status: 404 });
    expect(await ask('/outbox/7/related')).toMatchObject({ status: 400, body: { code: 'invalid_id' } });
  });
});

it('a reading route is given up after two seconds, and says what may hold it up', async () => {
  const id = await record();
  await database.db.transaction(async (tx) => {
    await tx.executeSql('lock table waybill.outbox_messages in access exclusive mode');
    const began = performance.now();
    const urls = ['/outbox', '/outbox/count', '/outbox/running', `/outbox/${id}`, '/outbox/groups?by=tag'];
    for (const { status, body } of await Promise.all(urls.map((url) => ask(url))))
      expect({ status, body }).toMatchObject({
        status: 503,
        body: {
          code: 'database_slow',
          detail: expect.stringMatching(/longer than 2 s: narrow .*lock/) as string,
        },
      });
    expect(performance.now() - began).toBeLessThan(8_000);
  });
});

it('a search reads with a statement whose values are parameters', async () => {
  const hostile = `'; drop table waybill.outbox_messages; --`;
  const page = await listMessages(database.db, {
    to: [hostile],
    tag: [hostile],
    keyPrefix: hostile,
    payload: { [hostile.replaceAll('.', '')]: hostile },
  });
  expect(page.messages).toEqual([]);
});
