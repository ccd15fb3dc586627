// Sums of each minute. Real: Postgres and the web server. Doubled: the relay, whose step the tests take, and the minute, by moving what it wrote back.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { takeMinute, type Series } from '../../src/operate/series.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

let database: TestDatabase;
let web: TestWeb;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(defineApp({}), database.url);
});
afterAll(async () => {
  await web.end();
  await database.end();
});

async function ask(query: string): Promise<{ status: number; body: Series & { code?: string } }> {
  const headers = { authorization: `Bearer ${adminKey}` };
  const response = await web.server.inject({ url: `/admin/series${query}`, headers });
  return { status: response.statusCode, body: response.json() };
}

/** As if a minute had passed since what was taken and recorded. */
async function pass(): Promise<void> {
  const { db } = database;
  await db.executeSql(`update waybill.series set at = at - interval '1 minute'`);
  await db.executeSql(`update waybill.series_minutes set at = at - interval '1 minute'`);
}

async function deliver(count: number): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  for (let i = 0; i < count; i++)
    await outbox.enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {} });
  const claims = await outbox.claimBatch({ queues: ['jobs'], limit: count, leaseMs: 60_000, workerId: 'w' });
  for (const { id, claimToken } of claims) await outbox.markDelivered(id, claimToken);
}

it('has the ends of each minute by queue, once, however many relays take it; earlier ends are the base', async () => {
  const { db } = database;
  await deliver(5);
  await takeMinute(db);
  await pass();
  await deliver(3);
  const waits = await Promise.all([takeMinute(db), takeMinute(db), takeMinute(db)]);
  for (const ms of waits) expect(ms).toBeLessThanOrEqual(60_250);
  const { body } = await ask('?name=delivered&window=1h');
  expect(body).toMatchObject({ window: '1h', stepSeconds: 60 });
  expect(body.series.map(({ name, queue }) => [name, queue])).toEqual([['delivered', 'jobs']]);
  const [{ values }] = body.series as [Series['series'][number]];
  expect(values).toHaveLength(60);
  expect(values.filter((n) => n !== null && n > 0)).toEqual([3]);
  expect(values.filter((n) => n === null).length).toBeGreaterThanOrEqual(57);
  const day = (await ask('?name=delivered&window=24h')).body.series[0]!;
  expect([day.values.length, day.values.findLast((n) => n !== null && n > 0)]).toEqual([96, 3]);
});

it('has what was recorded, from the ids of the messages', async () => {
  const { db } = database;
  await db.executeSql('delete from waybill.series_minutes');
  await db.executeSql('delete from waybill.series');
  const id = (n: number) =>
    `(lpad(to_hex((extract(epoch from date_trunc('minute', now()) - interval '90 seconds') * 1000)::bigint), 12, '0') || '7000800000000000000${n}')::uuid`;
  for (const n of [1, 2])
    await db.executeSql(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts) values (${id(n)}, 'job', 'n', 'jobs', '{}', 1)`,
    );
  await takeMinute(db);
  const { body } = await ask('?name=recorded');
  expect(body.series.map(({ values }) => values.filter((n) => n !== null && n > 0))).toEqual([[2]]);
});

it('refuses what it does not have', async () => {
  expect((await ask('?name=deliverd')).body.code).toBe('invalid_series');
  expect((await ask('?window=2h')).body.code).toBe('invalid_series');
  expect((await ask('?nam=dead')).body.code).toBe('invalid_arguments');
});
