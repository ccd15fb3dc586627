// The application of the benchmark of webhooks: its endpoints are rows, as customers make them.

import { z } from 'zod';
import { defineApp, defineEndpoint } from '../src/index.ts';

export const customer = defineEndpoint({
  name: 'customer',
  payload: z.object({ at: z.number() }),
  async resolve(ctx, id) {
    const sql = 'select url, secrets from endpoints where id = $1';
    return (await ctx.db.query<{ url: string; secrets: string[] }>(sql, [id])).rows[0];
  },
});

export default defineApp({ endpoints: [customer] });
