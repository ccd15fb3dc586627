import { z } from 'zod';
import { defineAction, defineCron } from '../src/index.ts';

/** Sums up the orders of the day before the tick. A second run writes the same result. */
export const sumDay = defineAction({
  name: 'sales.sum-day',
  access: 'system',
  args: z.strictObject({}),
  safeToRetry: true,
  async handler(ctx) {
    const tick = (ctx.invoker.type === 'system' && ctx.invoker.scheduledAt) || new Date();
    const { rows } = await ctx.db.query<{ day: string; orders: number }>(
      `insert into daily_sales (day, orders, total_cents)
       select day, count(o.id), coalesce(sum(o.total_cents), 0)
         from (select ($1::timestamptz at time zone 'UTC')::date - 1 as day) d
         left join orders o on (o.created_at at time zone 'UTC')::date = day
        group by day
       on conflict (day) do update set orders = excluded.orders, total_cents = excluded.total_cents, summed_at = now()
       returning day::text, orders`,
      [tick],
    );
    return rows[0];
  },
});

/** A missed day is summed up later, because every tick counts. */
export const sales = defineCron({
  jobs: [
    {
      name: 'sum-day',
      schedule: '5 0 * * *',
      action: sumDay,
      args: {},
      missedTickPolicy: 'all',
      maxCatchUpAge: '30d',
    },
  ],
});
