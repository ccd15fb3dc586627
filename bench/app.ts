// What the benchmarks' workers run: jobs that do nothing, or tell when they began.

import { z } from 'zod';
import { defineApp, defineJob } from '../src/index.ts';

export const noop = defineJob({ name: 'noop', payload: z.object({}), handler: async () => undefined });

const tell = defineJob({
  name: 'tell',
  payload: z.object({}),
  async handler(ctx) {
    const began = performance.timeOrigin + performance.now();
    await ctx.db.query('insert into began (message_id, ms) values ($1, $2)', [ctx.message.id, began]);
  },
});

export default defineApp({ jobs: [noop, tell] });
