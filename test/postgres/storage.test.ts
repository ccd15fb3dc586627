// What the tables take on disk. Real: Postgres, the pruning of a relay and the web server. Doubled: nothing.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { defineApp } from '../../src/index.ts';
import { createPrune } from '../../src/relay/prune.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { Storage } from '../../src/operate/storage.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';
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

async function storage(): Promise<Storage> {
  const headers = { authorization: `Bearer ${adminKey}` };
  return (await web.server.inject({ url: '/admin/storage', headers })).json();
}

it('names every table of ours with its size, and its last prune', async () => {
  const outbox = createPostgresOutbox(database.db);
  const { id } = await outbox.enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {} });
  await outbox.cancel(id);
  expect((await storage()).tables.every(({ lastPrune }) => lastPrune === null)).toBe(true);
  const { db } = database;
  const { events } = web.host;
  const retention = { deliveredMs: -1_000, deadMs: -1_000, keyMs: 1_000 };
  await createPrune({ db, events, observe: () => undefined, retention, auditRetentionMs: 1_000 })();
  const { tables, bytes } = await storage();
  const messages = tables.find(({ name }) => name === 'outbox_messages')!;
  expect(messages.lastPrune).toMatchObject({ rows: 1 });
  expect(messages.bytes).toBeGreaterThan(messages.indexBytes);
  expect(tables.reduce((sum, one) => sum + one.bytes, 0)).toBe(bytes);
});

it('names the oldest transaction that holds back vacuum', async () => {
  const done = Promise.withResolvers<void>();
  const holding = database.db.transaction(async (tx) => {
    await tx.executeSql('set transaction isolation level repeatable read');
    await tx.executeSql('select 1');
    await done.promise;
  });
  const holder = await until(async () => (await storage()).oldestHolder, { what: 'the holder' });
  expect(holder).toMatchObject({ type: 'transaction', name: 'waybill-test', state: 'idle in transaction' });
  done.resolve();
  await holding;
});
