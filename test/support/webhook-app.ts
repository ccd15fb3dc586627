// An application with endpoints of customers, which are rows, and with a job beside them.

import { z } from 'zod';
import { defineApp, defineEndpoint, defineJob } from '../../src/index.ts';

export const customer = defineEndpoint({
  name: 'customer',
  payload: z.object({ n: z.number() }),
  async resolve(ctx, id) {
    const sql = 'select url, secrets from endpoints where id = $1';
    return (await ctx.db.query<{ url: string; secrets: string[] }>(sql, [id])).rows[0];
  },
});

const quick = defineJob({ name: 'quick', payload: z.object({}), handler: () => undefined });

export default defineApp({ endpoints: [customer], jobs: [quick] });
