// BullMQ on its Postgres backend: 32 jobs at a time, a connection for each, as its pages advise, and one that listens. 64 and 100 are slower.

import { createPostgresBackend, runMigrations } from 'bullmq';
import pg from 'pg';
import { bullmqPart } from './bullmq-part.mjs';
import { serve } from './serve.mjs';

const concurrency = 32;
const pools = [];
function open() {
  const pool = new pg.Pool({
    connectionString: process.env.DATABASE_URL,
    options: '-c search_path=bullmq,public', // theirs only when the pool is made by them, which they cannot in an ES module
    max: concurrency + 1,
  });
  pool.on('error', () => undefined);
  pools.push(pool);
  return pool;
}
const close = async () => void (await Promise.all(pools.map((pool) => pool.end())));

const client = await open().connect();
await runMigrations(client);
client.release();

serve(await bullmqPart({ open, backend: createPostgresBackend, concurrency, close }));
