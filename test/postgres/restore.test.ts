// docs/high-availability.md, "Backups": an older copy of the database takes over. The copy is a database made from the other as its template, which is
// what a physical backup restores. The drains and their handlers are real.

import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createPostgresOutbox,
  defineJob,
  defineOutboxRegistry,
  drainOutbox,
  enqueueJob,
} from '../../src/index.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const done: string[] = [];
const job = defineJob({
  name: 'work',
  payload: z.object({ n: z.string() }),
  handler: async (_, { n }) => void done.push(n),
});
const registry = defineOutboxRegistry({ jobs: [job] });

let database: TestDatabase;
let copied: string | undefined;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.end();
  if (copied === undefined) return;
  const server = new URL(database.url);
  server.pathname = '/postgres';
  const client = new pg.Client({ connectionString: server.href });
  await client.connect();
  await client.query(`drop database ${copied}`);
  await client.end();
});

/** A copy of the database as it is now. Postgres copies only a database without connections. */
async function backup(): Promise<string> {
  const url = new URL(database.url);
  const name = url.pathname.slice(1);
  copied = `${name}_copy`;
  const server = new URL(database.url);
  server.pathname = '/postgres';
  const client = new pg.Client({ connectionString: server.href });
  await client.connect();
  const cut = `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`;
  await client.query(cut);
  await client.query(`create database ${copied} template ${name}`);
  await client.end();
  url.pathname = `/${copied}`;
  return url.href;
}

async function on<T>(url: string, use: (pool: pg.Pool) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ connectionString: url, max: 3 });
  pool.on('error', () => undefined);
  try {
    return await use(pool);
  } finally {
    await pool.end();
  }
}

const enqueue = (pool: pg.Pool, n: string) =>
  enqueueJob(createPostgresOutbox(pool), job, { n }, { deliveryKey: n });
const drain = (pool: pg.Pool) =>
  drainOutbox({ outbox: createPostgresOutbox(pool), registry, pool, concurrency: 1 });

it('what was delivered after the backup is delivered again; what came before it is not, and a claim of that time ends with its lease', async () => {
  await on(database.url, async (pool) => {
    await enqueue(pool, 'before');
    await drain(pool);
    await enqueue(pool, 'claimed');
    await createPostgresOutbox(pool).claimBatch({ limit: 1, leaseMs: 200, workerId: 'of that time' });
    await enqueue(pool, 'waiting');
  });
  const restored = await backup();
  await on(database.url, async (pool) => {
    await enqueue(pool, 'lost');
    while (done.length < 4) await drain(pool); // the lease of the claim runs out
  });
  expect(done.toSorted()).toEqual(['before', 'claimed', 'lost', 'waiting']);

  done.length = 0;
  await on(restored, async (pool) => {
    while (done.length < 2) await drain(pool);
    expect(done.toSorted()).toEqual(['claimed', 'waiting']); // a second time
    expect(await enqueue(pool, 'before')).toMatchObject({ duplicate: true });
    expect(await enqueue(pool, 'lost')).toMatchObject({ duplicate: false }); // its row and its key are gone with the transaction
  });
  const db = openDatabase({ url: restored, max: 2, applicationName: 'test', onIdleError: () => undefined });
  try {
    expect(await verifyOutbox(db)).toMatchObject({ ok: true, findings: [] });
  } finally {
    await db.end();
  }
});
