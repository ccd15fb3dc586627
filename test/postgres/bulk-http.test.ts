// The admin API of bulk acts. Real: Postgres and the web server. Doubled: the loop of the relay, which the test runs itself.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { workBulk } from '../../src/operate/bulk-work.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url, {
    WAYBILL_ADMIN_KEYS: 'oscar:operate:key-of-oscar,rita:read:key-of-rita',
  });
});
afterAll(async () => {
  await web.end();
  await database.end();
});

async function call(method: 'GET' | 'POST', path: string, payload?: object, key = 'key-of-oscar') {
  const response = await web.server.inject({
    method,
    url: `/admin${path}`,
    headers: { authorization: `Bearer ${key}` },
    ...(payload && { payload }),
  });
  return { status: response.statusCode, body: response.json<Record<string, unknown>>() };
}

async function record(name: string, count: number): Promise<void> {
  const message = { kind: 'job', name, queue: 'jobs', payload: { secret: 'tea' } } as const;
  await createPostgresOutbox(database.db).enqueue(Array.from({ length: count }, () => message));
}

describe('/admin/bulk', () => {
  it('erase needs the role admin', async () => {
    const given = { action: 'erase', filter: { name: 'many' }, dryRun: true };
    expect(await call('POST', '/bulk', given)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  it('a preview, then the act, its progress and its list', async () => {
    await record('many', 150);
    const given = { action: 'cancel', filter: { name: 'many' } };
    const preview = await call('POST', '/bulk', { ...given, dryRun: true });
    expect(preview).toMatchObject({ status: 200, body: { matched: 150, atLeast: false } });
    expect(JSON.stringify(preview.body)).not.toContain('tea');
    expect(await call('POST', '/bulk', given)).toMatchObject({
      status: 409,
      body: { code: 'count_required' },
    });
    expect(await call('POST', '/bulk', { ...given, expect: 15 })).toMatchObject({
      status: 409,
      body: { code: 'count_differs' },
    });
    const about = { expect: 150, reason: 'a wrong deploy', by: 'Oscar', rate: '1000/s', limit: 10_000 };
    const { status, body } = await call('POST', '/bulk', { ...given, ...about });
    expect(status).toBe(200);
    const id = String(body['id']);
    expect(body).toMatchObject({ state: 'running', rate: 1_000, limit: 10_000, by: 'Oscar', via: 'http' });
    await workBulk(database.db);
    const shown = await call('GET', `/bulk/${id}`, undefined, 'key-of-rita');
    expect(shown).toMatchObject({ status: 200, body: { id, changed: 150, reason: 'a wrong deploy' } });
    const { body: list } = await call('GET', '/bulk?limit=1&state=done', undefined, 'key-of-rita');
    expect(list).toMatchObject({ bulkActs: [{ id }], nextCursor: null });
  });

  it('pause, resume and stop; a second stop is a conflict', async () => {
    await record('some', 2);
    const { body } = await call('POST', '/bulk', { action: 'cancel', filter: { name: 'some' } });
    const path = `/bulk/${String(body['id'])}`;
    for (const [move, state] of [
      ['pause', 'paused'],
      ['resume', 'running'],
      ['stop', 'stopped'],
    ] as const)
      expect(await call('POST', `${path}/${move}`, { reason: 'r' })).toMatchObject({
        status: 200,
        body: { state },
      });
    expect(await call('POST', `${path}/stop`)).toMatchObject({
      status: 409,
      body: { code: 'state_conflict' },
    });
  });

  it('shows no whole address of a filter', async () => {
    const filter = { deliveryKey: 'receipt:somebody@example.test' };
    const { body } = await call('POST', '/bulk', { action: 'cancel', filter });
    expect(body['filter']).toEqual({ deliveryKey: 'receipt:s***@example.test' });
    expect(JSON.stringify((await call('GET', '/audit?act=bulk.start')).body)).not.toContain('somebody');
  });

  it.each<[object, string]>([
    [{}, 'invalid_arguments'],
    [{ action: 'cancel' }, 'filter_required'],
    [{ action: 'cancel', filter: { nam: 'many' } }, 'invalid_arguments'],
    [{ action: 'cancel', filter: { name: 'many' }, rat: '5/s' }, 'invalid_arguments'],
    [{ action: 'eraze', filter: { name: 'many' } }, 'invalid_action'],
    [{ action: 'cancel', filter: { status: 'dead' } }, 'invalid_status'],
    [{ action: 'cancel', filter: { name: 'many' }, limit: 1.5 }, 'invalid_limit'],
    [{ action: 'hold', filter: { name: 'many' } }, 'invalid_due'],
  ])('%j: %s', async (body, code) => {
    expect(await call('POST', '/bulk', body)).toMatchObject({ status: 400, body: { code } });
  });

  it('a key that may only read starts nothing, and an unknown act is not found', async () => {
    expect((await call('POST', '/bulk', { action: 'cancel', all: true }, 'key-of-rita')).status).toBe(403);
    expect((await call('GET', '/bulk/0199c0de-0000-7000-8000-000000000000')).status).toBe(404);
    expect((await call('GET', '/bulk/42')).status).toBe(400);
    expect((await call('GET', '/bulk?stat=done')).status).toBe(400);
  });
});
