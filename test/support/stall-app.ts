// An application whose handlers bring their process to a standstill.

import pg from 'pg';
import { z } from 'zod';
import { defineApp, defineJob } from '../../src/index.ts';

/** Computes without end, on its first attempt. */
const block = defineJob({
  name: 'block',
  payload: z.object({}),
  async handler(ctx) {
    while (ctx.message.attempt === 1);
  },
});

/** From now on this process waits for ever for its next connection, as for a promise that nobody settles. */
const wedge = defineJob({
  name: 'wedge',
  payload: z.object({}),
  async handler(ctx) {
    if (ctx.message.attempt > 1) return;
    pg.Pool.prototype.connect = (() => new Promise(() => undefined)) as typeof pg.Pool.prototype.connect;
    pg.Pool.prototype.query = (() => new Promise(() => undefined)) as typeof pg.Pool.prototype.query;
  },
});

const fine = defineJob({ name: 'fine', payload: z.object({}), handler: async () => undefined });

export default defineApp({ jobs: [block, wedge, fine] });
