// DBOS Transact: a queue of workflows of no step, as its pages tune it for throughput: a limit of the worker only, so that a claim takes
// many and needs no look at other processes; a polling interval of 1 ms (it has no LISTEN for queues; by default it looks once a second);
// a pool of 20 connections. It logs nothing but warnings.

import { DBOS, DBOSClient } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import { createCounter, now, serve, until } from './serve.mjs';

const systemDatabaseUrl = process.env.DATABASE_URL;
const logger = { debug() {}, info() {}, warn: console.error, error: console.error };
const queueName = 'noop';
const counter = createCounter();
const handle = async (payload) => {
  if (payload.n !== undefined) counter.began.set(payload.n, now());
  counter.count(1);
};
DBOS.registerWorkflow(handle, { name: 'noop' });
DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl,
  systemDatabasePoolSize: 20,
  listenQueues: [queueName],
  logger,
});
await DBOS.launch(); // makes the schema
await DBOS.shutdown();
const client = await DBOSClient.create({ systemDatabaseUrl, applicationName: 'bench', logger });
const pool = new pg.Pool({ connectionString: systemDatabaseUrl, max: 1 });
pool.on('error', () => undefined);
const enqueue = `select count(dbos.enqueue_workflow(workflow_name => 'noop', queue_name => '${queueName}', application_name => 'bench',
  positional_args => array['{}'::json], delay_until_epoch_ms => $2)) from generate_series(1, $1::int)`;
async function put(messages, delayUntil) {
  for (let i = 0; i < messages; i += 1_000)
    await pool.query(enqueue, [Math.min(1_000, messages - i), delayUntil]);
}

serve({
  fill: (messages) => put(messages, null),
  fillLater: (messages) => put(messages, Date.now() + 86_400_000),
  async work() {
    counter.reset();
    await client.registerQueue(queueName, { workerConcurrency: 1_000, minPollingIntervalMs: 1 });
    await DBOS.launch();
  },
  rest: () => DBOS.shutdown(),
  handled: (messages) => counter.until(messages),
  settled: () =>
    until(async () => {
      const sql = `select from dbos.workflow_status where queue_name = $1 and status in ('ENQUEUED', 'PENDING') limit 1`;
      return (await pool.query(sql, [queueName])).rows.length === 0;
    }),
  async add(n) {
    await client.enqueue({ workflowName: 'noop', queueName }, { n });
    return now();
  },
  began: async () => [...counter.began],
  async end() {
    await DBOS.shutdown();
    await client.destroy();
    await pool.end();
  },
});
