// NOTIFY for applications that commit by themselves.

import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createOutboxNotify } from '../../src/index.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 2 });
});
afterAll(async () => {
  await pool.end();
  await database.end();
});

it('reaches those who listen, with the names of the queues, and merges what comes meanwhile', async () => {
  const heard: string[] = [];
  const listener = await pool.connect();
  listener.on('notification', ({ payload = '' }) => heard.push(payload));
  await listener.query('listen waybill_outbox');
  const notify = createOutboxNotify(pool);
  notify(['jobs']);
  for (let i = 0; i < 50; i++) notify([i % 2 === 0 ? 'events' : 'jobs']);
  await until(() => heard.length === 2, { what: 'two notifications' });
  expect(heard).toEqual(['jobs', 'events jobs']);
  notify();
  await until(() => heard.length === 3, { what: 'another one' });
  expect(heard[2]).toBe('');
  listener.release();
});

it('reports a NOTIFY that failed, and refuses what is no database', async () => {
  const failed = new Promise((resolve) => {
    createOutboxNotify(
      { query: () => Promise.reject(new Error('the database is away')) },
      { onError: resolve },
    )();
  });
  expect(await failed).toMatchObject({ message: 'the database is away' });
  expect(() => createOutboxNotify({} as never)).toThrow(/executeSql/);
});
