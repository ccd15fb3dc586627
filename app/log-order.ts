import { defineListener } from '../src/index.ts';
import { orderPlaced } from './order-placed.ts';

export const logOrder = defineListener({
  name: 'order-log',
  event: orderPlaced,
  async handler(ctx, { orderId }) {
    await ctx.db.query('insert into order_log (order_id) values ($1) on conflict do nothing', [orderId]);
  },
});
