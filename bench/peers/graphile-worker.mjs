// graphile-worker as its own pages tune it for throughput: a local queue of 500, 24 jobs at a time, completions in batches. It logs nothing.

import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { commitOf, createCounter, now, serve, until } from './serve.mjs';

const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => undefined);
const preset = { worker: { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0 } };
const pool = new pg.Pool({ connectionString, max: 10, idleTimeoutMillis: 0 }); // as many as its own would have, and they stay open between rounds
pool.on('error', () => undefined);
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const counter = createCounter();
let runner;
const add = (runAt) => `select graphile_worker.add_jobs(array(
  select json_populate_record(null::graphile_worker.job_spec, '{"identifier":"noop","payload":{}${runAt}}') from generate_series(1, $1::int)))`;
const taskList = {
  noop(payload) {
    if (payload.n !== undefined) counter.began.set(payload.n, now());
    counter.count(1);
  },
};

serve({
  async fill(messages) {
    for (let i = 0; i < messages; i += 1_000) await pool.query(add(''), [Math.min(1_000, messages - i)]);
  },
  async fillLater(messages) {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    for (let i = 0; i < messages; i += 1_000) await pool.query(add(`,"run_at":"${tomorrow}"`), [1_000]);
  },
  async work() {
    counter.reset();
    runner = await run({ pgPool: pool, logger, preset, taskList, noHandleSignals: true });
  },
  async rest() {
    await runner?.stop();
    runner = undefined;
  },
  handled: (messages) => counter.until(messages),
  settled: () =>
    until(async () => {
      const { rows } = await pool.query(
        'select from graphile_worker._private_jobs where run_at <= now() limit 1',
      );
      return rows.length === 0;
    }),
  async add(n) {
    return commitOf(pool, (client) =>
      client.query('select graphile_worker.add_job($1, $2)', ['noop', { n }]),
    );
  },
  began: async () => [...counter.began],
  async end() {
    await runner?.stop();
    await utils.release();
    await pool.end();
  },
});
