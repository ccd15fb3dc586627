// The application: an example to replace with your own. Its default export is what every process loads.

import { defineApp } from '../src/index.ts';
import { countOrder } from './count-order.ts';
import { logOrder } from './log-order.ts';
import { orderPlaced } from './order-placed.ts';
import { placeOrder } from './place-order.ts';
import { sales, sumDay } from './sum-day.ts';

export default defineApp({
  actions: [placeOrder, sumDay],
  events: [orderPlaced],
  listeners: [logOrder],
  jobs: [countOrder],
  cron: sales,
});
