// pg-boss alone, as its own pages tune it for throughput: batches of 1,000, the next fetched as long as they are full, LISTEN/NOTIFY.

import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { commitOf, createCounter, now, serve, until } from './serve.mjs';

const connectionString = process.env.DATABASE_URL;
const boss = new PgBoss({ connectionString, useListenNotify: true });
boss.on('error', (error) => console.error(error));
await boss.start();
await boss.createQueue('noop', { notify: true });
const pool = new pg.Pool({ connectionString, max: 1 });
pool.on('error', () => undefined);
const counter = createCounter();
const open = `select from pgboss.job where name = 'noop' and state < 'completed' limit 1`;

serve({
  async fill(messages) {
    for (let i = 0; i < messages; i += 1_000)
      await boss.insert(
        'noop',
        Array.from({ length: Math.min(1_000, messages - i) }, () => ({ data: {} })),
      );
  },
  /** Jobs that are not due: in retry or scheduled for tomorrow. */
  async fillLater(messages) {
    for (let i = 0; i < messages; i += 1_000)
      await boss.insert(
        'noop',
        Array.from({ length: 1_000 }, () => ({ data: {}, startAfter: 86_400 })),
      );
  },
  async work() {
    counter.reset();
    await boss.work('noop', { batchSize: 1_000, burstWhenBatchFull: true }, async (jobs) => {
      for (const { data } of jobs) if (data.n !== undefined) counter.began.set(data.n, now());
      counter.count(jobs.length);
    });
  },
  rest: () => boss.offWork('noop'),
  handled: (messages) => counter.until(messages),
  settled: () => until(async () => (await pool.query(open)).rows.length === 0),
  async add(n) {
    return commitOf(pool, (client) =>
      boss.send('noop', { n }, { db: { executeSql: (sql, values) => client.query(sql, values) } }),
    );
  },
  began: async () => [...counter.began],
  async end() {
    await boss.stop({ graceful: false });
    await pool.end();
  },
});
