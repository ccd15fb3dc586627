// An application whose jobs write down when they began and ended, at once and not in their transaction.

import pg from 'pg';
import { z } from 'zod';
import { defineApp, defineJob, defineQueue } from '../../src/index.ts';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL']!, max: 2 });
pool.on('error', () => undefined); // the test ends the server
const ms = process.env['FLOW_MS'] ?? '50';

const work = defineJob({
  name: 'work',
  queue: 'work',
  payload: z.object({ group: z.string().nullable() }),
  async handler(ctx, { group }) {
    const { rows } = await pool.query<{ id: string }>(
      'insert into runs (message, worker, grp, began) values ($1, $2, $3, clock_timestamp()) returning id',
      [ctx.message.id, process.pid, group],
    );
    await new Promise((resolve) => setTimeout(resolve, Number(ms)));
    await pool.query('update runs set ended = clock_timestamp() where id = $1', [rows[0]!.id]);
  },
});

const limits = JSON.parse(process.env['FLOW_QUEUE'] ?? '{}') as object;

export default defineApp({
  jobs: [work],
  queues: [defineQueue({ name: 'work', ...limits })],
  teardown: () => pool.end(),
});
