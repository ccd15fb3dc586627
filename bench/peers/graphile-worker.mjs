// graphile-worker as its own pages tune it for throughput: a local queue of 500, 24 jobs at a time, completions in batches. It logs nothing.
// In the fleet 25 jobs at a time and no local queue, which would take all jobs into one process.

import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { commitOf, createCounter, serve, until } from './serve.mjs';
import { added, createHandlers, insert, payloadsOf, slots, table, work } from './work.mjs';

const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => undefined);
const tuned = { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0 };
const preset = { worker: slots === undefined ? tuned : { concurrentJobs: slots, completeJobBatchDelay: 0 } };
const pool = new pg.Pool({ connectionString, max: 10, idleTimeoutMillis: 0 }); // as many as its own would have, and they stay open between rounds
pool.on('error', () => undefined);
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const counter = createCounter();
let runner;
const handlers = createHandlers(counter, {
  write: ({ n }, { withPgClient }) =>
    withPgClient(async (client) => {
      await client.query('begin');
      await client.query(insert, [n]);
      await client.query('commit');
    }),
  fanOut: ({ n }, { addJobs }) =>
    addJobs(Array.from({ length: 2 }, () => ({ identifier: 'listener', payload: { n } }))),
});
const counted = (handle) => async (payload, helpers) => {
  await handle(payload, helpers);
  counter.count(1);
};
const countedNoop = (payload) => {
  handlers.noop(payload);
  counter.count(1);
};
const taskList =
  work === 'noop'
    ? { noop: countedNoop }
    : Object.fromEntries(Object.entries(handlers).map(([name, handle]) => [name, counted(handle)]));
if (work !== 'noop') await pool.query(table);

const add = `select graphile_worker.add_jobs(array(
  select json_populate_record(null::graphile_worker.job_spec, spec) from json_array_elements($1::json) spec))`;
async function put(on, messages, spec = {}) {
  for (let i = 0; i < messages; i += 1_000) {
    const payloads = payloadsOf(i, Math.min(i + 1_000, messages));
    await on.query(add, [
      JSON.stringify(payloads.map((payload) => ({ identifier: work, payload, ...spec }))),
    ]);
  }
}

serve({
  fill: (messages) => put(pool, messages),
  release: async (messages) => (await commitOf(pool, (client) => put(client, messages))).sent,
  fillLater: (messages) => put(pool, messages, { run_at: new Date(Date.now() + 86_400_000) }),
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
    }, slots && 2),
  async add(n) {
    const record = async (client) => {
      for (const name of added) await client.query('select graphile_worker.add_job($1, $2)', [name, { n }]);
    };
    return (await commitOf(pool, record)).answered;
  },
  began: async () => [...counter.began],
  async end() {
    await runner?.stop();
    await utils.release();
    await pool.end();
  },
});
