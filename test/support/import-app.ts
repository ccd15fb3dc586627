// The application of the tests of imports: a job that fits what the other queues have, one for its order, an event and no email.

import { z } from 'zod';
import { defineEvent, defineJob, defineOutboxRegistry } from '../../src/index.ts';

const receipt = defineJob({
  name: 'receipt',
  payload: z.object({ n: z.int(), text: z.string().optional() }),
  async handler() {},
});

const account = defineJob({
  name: 'account',
  queue: 'accounts',
  payload: z.object({ n: z.int() }),
  onDead: 'skip',
  async handler() {},
});

const secret = defineJob({
  name: 'secret',
  payload: z.object({ token: z.string() }),
  sensitive: true,
  async handler() {},
});

const placed = defineEvent({ name: 'order.placed', payload: z.object({ orderId: z.int() }) });

export default defineOutboxRegistry({ jobs: [receipt, account, secret], events: [placed] });
