// Jobs in the queues of other libraries, put there by the libraries themselves.

import { Queue } from 'bullmq';
import { Logger, makeWorkerUtils } from 'graphile-worker';
import pg from 'pg';
import { PgBoss } from 'pg-boss';

export async function startPgBoss(url: string, schema = 'pgboss'): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, schema, supervise: false, schedule: false, max: 2 });
  boss.on('error', (error) => console.error('pg-boss:', error.message));
  return boss.start();
}

/** Payloads `{ n }` from 0 on. */
export const numbers = (count: number, from = 0): { readonly n: number }[] =>
  Array.from({ length: count }, (_, i) => ({ n: from + i }));

export async function fillPgBoss(boss: PgBoss, queue: string, count: number): Promise<void> {
  await boss.createQueue(queue);
  for (let from = 0; from < count; from += 2_000)
    await boss.insert(
      queue,
      numbers(Math.min(2_000, count - from), from).map((data) => ({ data })),
    );
}

export type Utils = Awaited<ReturnType<typeof makeWorkerUtils>>;
export type Graphile = { readonly utils: Utils; end(): Promise<void> };

export async function startGraphileWorker(url: string, schema?: string): Promise<Graphile> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('error', (error) => console.error('graphile-worker:', error.message));
  pool.on('connect', (client) => client.on('error', () => undefined)); // it asks for both
  const logger = new Logger(() => () => undefined);
  const utils = await makeWorkerUtils({ pgPool: pool, logger, ...(schema !== undefined && { schema }) });
  await utils.migrate();
  return {
    utils,
    async end() {
      await utils.release();
      await pool.end();
    },
  };
}

export async function fillGraphileWorker(
  { utils }: Graphile,
  identifier: string,
  count: number,
): Promise<void> {
  for (let from = 0; from < count; from += 2_000)
    await utils.addJobs(
      numbers(Math.min(2_000, count - from), from).map((payload) => ({ identifier, payload })),
    );
}

export function openBullmqQueue(name: string, port: number): Queue {
  const queue = new Queue(name, { connection: { host: '127.0.0.1', port } });
  queue.on('error', (error) => console.error('bullmq:', error.message));
  return queue;
}

export async function fillBullmq(queue: Queue, name: string, count: number): Promise<void> {
  for (let from = 0; from < count; from += 2_000)
    await queue.addBulk(numbers(Math.min(2_000, count - from), from).map((data) => ({ name, data })));
}
