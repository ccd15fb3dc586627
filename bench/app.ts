// What the benchmarks' workers run: jobs that do nothing, or tell when they began.

import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineAction, defineApp, defineCron, defineJob } from '../src/index.ts';

export const noop = defineJob({ name: 'noop', payload: z.object({}), handler: async () => undefined });

export const tell = defineJob({
  name: 'tell',
  payload: z.object({}),
  async handler(ctx) {
    const began = performance.timeOrigin + performance.now();
    await ctx.db.query('insert into began (message_id, ms) values ($1, $2)', [ctx.message.id, began]);
  },
});

export const wait = defineJob({
  name: 'wait',
  payload: z.object({ ms: z.number() }),
  handler: async (_, { ms }) => sleep(ms),
});

export const noopAction = defineAction({
  name: 'noop',
  access: 'system',
  args: z.object({}),
  handler: async () => null,
});

const minutely = defineCron({ jobs: [{ name: 'minutely', schedule: '* * * * *', action: noopAction }] });

export default defineApp({ actions: [noopAction], jobs: [noop, tell, wait], cron: minutely });
