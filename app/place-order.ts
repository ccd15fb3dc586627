import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { defineAction, isEmailAddress } from '../src/index.ts';
import { countOrder } from './count-order.ts';
import { orderPlaced } from './order-placed.ts';
import { receipt } from './receipt.ts';

const item = z.strictObject({
  sku: z.string().min(1).max(100),
  quantity: z.number().int().min(1).max(1_000),
  unitPriceCents: z.number().int().min(0).max(10_000_000),
});

/** One transaction: the order, its receipt, the event and the job all exist, or none of them does. */
export const placeOrder = defineAction({
  name: 'orders.place',
  access: 'authenticated',
  http: 'POST /orders',
  args: z.strictObject({
    customerEmail: z.string().refine(isEmailAddress, 'must be an e-mail address'),
    items: z.array(item).min(1).max(100),
  }),
  emits: [orderPlaced],
  async handler(ctx, { customerEmail, items }) {
    const orderId = randomUUID();
    const totalCents = items.reduce(
      (sum, { quantity, unitPriceCents }) => sum + quantity * unitPriceCents,
      0,
    );
    await ctx.db.query(
      'insert into orders (id, customer_email, items, total_cents) values ($1, $2, $3, $4)',
      [orderId, customerEmail, JSON.stringify(items), totalCents],
    );
    await ctx.email.enqueue({
      ...receipt(orderId, items, totalCents),
      to: customerEmail,
      deliveryKey: `receipt-${orderId}`,
    });
    await ctx.events.record(orderPlaced, { orderId, customerEmail, totalCents });
    await ctx.jobs.dispatch(countOrder, { orderId, customerEmail, totalCents });
    return { orderId };
  },
});
