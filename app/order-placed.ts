import { z } from 'zod';
import { defineEvent } from '../src/index.ts';

export const orderPlaced = defineEvent({
  name: 'order.placed',
  payload: z.object({ orderId: z.uuid(), customerEmail: z.string(), totalCents: z.number().int() }),
});
