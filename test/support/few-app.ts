// An application whose every part wants the database: an action that writes, a job that writes through ctx.db, an email.

import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { defineAction, defineApp, defineJob } from '../../src/index.ts';

const write = defineJob({
  name: 'write',
  payload: z.object({ n: z.number() }),
  retry: { maxAttempts: 1 },
  async handler(ctx, { n }) {
    await ctx.db.query('insert into effects (n) values ($1)', [n]);
    await sleep(10);
  },
});

const place = defineAction({
  name: 'place',
  access: 'public',
  args: z.object({ n: z.number() }),
  async handler(ctx, { n }) {
    await ctx.db.query('insert into placed (n) values ($1)', [n]);
    await ctx.jobs.dispatch(write, { n });
    await ctx.email.enqueue({ from: 'a@shop.test', to: 'b@shop.test', subject: `${n}`, text: 'placed' });
    return n;
  },
});

export default defineApp({ actions: [place], jobs: [write] });
