// The application of the benchmarks' workers: jobs that do nothing or record when they began, and work of users.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { z } from 'zod';
import { receipt } from '../app/receipt.ts';
import {
  defineAction,
  defineApp,
  defineCron,
  defineEvent,
  defineJob,
  defineListener,
  type EmailProvider,
  type HandlerContext,
} from '../src/index.ts';

/** Milliseconds that are comparable between the processes of this machine. */
export const now = (): number => performance.timeOrigin + performance.now();

export const noop = defineJob({ name: 'noop', payload: z.object({}), handler: async () => undefined });

export const tell = defineJob({
  name: 'tell',
  payload: z.object({}),
  async handler(ctx) {
    const began = now();
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

/** Returns the message's id. */
export const tellAction = defineAction({
  name: 'tell',
  access: 'system',
  args: z.object({}),
  handler: async (ctx) => (await ctx.jobs.dispatch(tell, {})).id,
});

const minutely = defineCron({ jobs: [{ name: 'minutely', schedule: '* * * * *', action: noopAction }] });

// Work of users. Its tables: written, order_began (bench/work.ts).

const numbered = z.object({ n: z.int() });

async function write(ctx: HandlerContext, { n }: z.output<typeof numbered>): Promise<void> {
  await ctx.db.query('insert into written (n) values ($1)', [n]);
}

export const writeRow = defineJob({ name: 'write-row', payload: numbered, handler: write });

export const shipped = defineEvent({ name: 'order.shipped', payload: numbered });
const shippedListeners = ['stock', 'statistics'].map((name) =>
  defineListener({ name, event: shipped, handler: write }),
);

const items = [
  { sku: 'blue-mug', quantity: 2, unitPriceCents: 1_250 },
  { sku: 'tea-of-the-month', quantity: 1, unitPriceCents: 1_700 },
];

/** The example's receipt. @param customer the local part of the address */
export function receiptTo(customer: string) {
  return { ...receipt('018f2b6a-0000-7000-8000-000000000000', items, 4_200), to: `${customer}@shop.example` };
}

// The example's action (app/place-order.ts), with handlers that record when they began.

const order = z.object({ orderId: z.uuid() });
const placed = defineEvent({ name: 'order.placed', payload: order });
const beganSql = 'insert into order_began (order_id, step, ms) values ($1, $2, $3) on conflict do nothing';

const orderLog = defineListener({
  name: 'order-log',
  event: placed,
  async handler(ctx, { orderId }) {
    await ctx.db.query(beganSql, [orderId, 'listener', now()]);
  },
});

const countOrder = defineJob({
  name: 'count-order',
  payload: order,
  async handler(ctx, { orderId }) {
    await ctx.db.query(beganSql, [orderId, 'job', now()]);
  },
});

/** Returns the order's id. */
export const placeOrder = defineAction({
  name: 'orders.place',
  access: 'system',
  args: order,
  emits: [placed],
  async handler(ctx, { orderId }) {
    await ctx.email.enqueue(receiptTo(orderId));
    await ctx.events.record(placed, { orderId });
    await ctx.jobs.dispatch(countOrder, { orderId });
    return orderId;
  },
});

let pool: pg.Pool | undefined;

/** Records when the email of an order began. */
const provider: EmailProvider = {
  name: 'bench',
  idempotent: true,
  async send(_, { recipients }) {
    const began = now();
    pool ??= new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 2 });
    await pool.query(beganSql, [recipients[0]!.split('@')[0], 'email', began]);
    return { accepted: recipients, rejected: [], response: 'told' };
  },
  close: async () => pool?.end(),
};

export default defineApp({
  actions: [noopAction, tellAction, placeOrder],
  events: [shipped, placed],
  listeners: [...shippedListeners, orderLog],
  jobs: [noop, tell, wait, writeRow, countOrder],
  email: { provider },
  cron: minutely,
});
