// pg-boss alone, as its own pages tune it for throughput: batches of 1,000, the next fetched as long as they are full, LISTEN/NOTIFY.
// In the fleet batches of 25, worked off at the same time: one of 1,000 would take all jobs into one process.

import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { commitOf, createCounter, serve, until } from './serve.mjs';
import { added, createHandlers, insert, payloadsOf, slots, table, work } from './work.mjs';

const connectionString = process.env.DATABASE_URL;
const boss = new PgBoss({ connectionString, useListenNotify: true });
boss.on('error', (error) => console.error(error));
await boss.start();
const pool = new pg.Pool({ connectionString, max: 1 });
pool.on('error', () => undefined);
const rows = new pg.Pool({ connectionString, max: 10 }); // of the handlers
rows.on('error', () => undefined);
const counter = createCounter();
const handlers = createHandlers(counter, {
  write: ({ n }) => rows.query(insert, [n]),
  fanOut: ({ n }) =>
    boss.insert(
      'listener',
      Array.from({ length: 2 }, () => ({ data: { n } })),
    ),
});
const names = Object.keys(handlers);
for (const name of names) await boss.createQueue(name, { notify: true });
if (work !== 'noop') await pool.query(table);
const open = `select from pgboss.job where name = any($1) and state < 'completed' limit 1`;

const within = (client) => ({ db: { executeSql: (sql, values) => client.query(sql, values) } });
async function put(messages, spec = {}, options = {}) {
  for (let i = 0; i < messages; i += 1_000) {
    const payloads = payloadsOf(i, Math.min(i + 1_000, messages));
    const jobs = payloads.map((data) => ({ data, ...spec }));
    await boss.insert(work, jobs, options);
  }
}

serve({
  fill: (messages) => put(messages),
  release: async (messages) => (await commitOf(pool, (client) => put(messages, {}, within(client)))).sent,
  /** Jobs that are not due: in retry or scheduled for tomorrow. */
  fillLater: (messages) => put(messages, { startAfter: 86_400 }),
  async work() {
    counter.reset();
    for (const name of names)
      await boss.work(name, { batchSize: slots ?? 1_000, burstWhenBatchFull: true }, async (jobs) => {
        if (work === 'noop') for (const { data } of jobs) handlers.noop(data);
        else await Promise.all(jobs.map(({ data }) => handlers[name](data)));
        counter.count(jobs.length);
      });
  },
  async rest() {
    for (const name of names) await boss.offWork(name);
  },
  handled: (messages) => counter.until(messages),
  settled: () => until(async () => (await pool.query(open, [names])).rows.length === 0, slots && 2),
  async add(n) {
    const record = async (client) => {
      for (const name of added) await boss.send(name, { n }, within(client));
    };
    return (await commitOf(pool, record)).answered;
  },
  began: async () => [...counter.began],
  async end() {
    await boss.stop({ graceful: false });
    await pool.end();
    await rows.end();
  },
});
