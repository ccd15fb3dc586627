import { z } from 'zod';
import { defineJob } from '../src/index.ts';

/** Adds an order to its customer's running total. A second delivery of the same order changes nothing. */
export const countOrder = defineJob({
  name: 'count-order',
  payload: z.object({ orderId: z.uuid(), customerEmail: z.string(), totalCents: z.number().int() }),
  retry: { maxAttempts: 5 },
  async handler(ctx, { orderId, customerEmail, totalCents }) {
    const fresh = await ctx.db.query(
      'insert into counted_orders (order_id) values ($1) on conflict do nothing returning order_id',
      [orderId],
    );
    if (fresh.rows.length === 0) return;
    await ctx.db.query(
      `insert into customer_totals (customer_email, orders, total_cents) values ($1, 1, $2)
       on conflict (customer_email) do update
         set orders = customer_totals.orders + 1, total_cents = customer_totals.total_cents + excluded.total_cents`,
      [customerEmail, totalCents],
    );
  },
});
