// An application whose data is in several databases: an action that records a job, and what ran notes in its own transaction where it ran.

import { z } from 'zod';
import { defineAction, defineApp, defineCron, defineJob } from '../../src/index.ts';

const fulfil = defineJob({
  name: 'fulfil',
  payload: z.object({ order: z.string(), placed: z.string().nullable() }),
  retry: { maxAttempts: 20, backoff: { initial: 50, max: 200 } },
  async handler(ctx, { order, placed }) {
    await ctx.db.query('insert into effects (what, at) values ($1, $2)', [
      order,
      `${placed} ${ctx.database}`,
    ]);
  },
});

/** Takes a while, and says when it begins. */
const slow = defineJob({
  name: 'slow',
  payload: z.object({ ms: z.number() }),
  async handler(ctx, { ms }) {
    process.stdout.write(`${JSON.stringify({ msg: 'slow begins', of: ctx.database })}\n`);
    await new Promise((resolve) => setTimeout(resolve, ms));
  },
});

const order = defineAction({
  name: 'order',
  access: 'public',
  http: 'POST /orders',
  args: z.object({ order: z.string() }),
  async handler(ctx, { order: name }) {
    const { id } = await ctx.jobs.dispatch(fulfil, { order: name, placed: ctx.database });
    return { id };
  },
});

const tick = defineAction({
  name: 'tick',
  access: 'system',
  args: z.object({ job: z.string() }),
  async handler(ctx, { job }) {
    await ctx.db.query('insert into effects (what, at) values ($1, $2)', [job, ctx.database]);
  },
});

const yearly = '0 0 1 1 *';

const say = (msg: string): void => void process.stdout.write(`${JSON.stringify({ msg })}\n`);

export default defineApp({
  setup: () => say('set up'),
  teardown: () => say('torn down'),
  actions: [order, tick],
  jobs: [fulfil, slow],
  cron: defineCron({
    jobs: [
      { name: 'everywhere', schedule: yearly, action: 'tick', args: { job: 'everywhere' } },
      { name: 'in-us', schedule: yearly, action: 'tick', args: { job: 'in-us' }, database: 'us' },
    ],
  }),
});
