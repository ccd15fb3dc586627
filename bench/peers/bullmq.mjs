// BullMQ on a Redis of its own.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createCounter, now, serve, until } from './serve.mjs';

const open = () => new Redis(Number(process.env.REDIS_PORT), '127.0.0.1', { maxRetriesPerRequest: null });
const connection = open();
const queue = new Queue('noop', { connection, defaultJobOptions: { removeOnComplete: true } });
await queue.waitUntilReady();
const counter = createCounter();
let worker;

serve({
  async fill(messages) {
    for (let i = 0; i < messages; i += 1_000)
      await queue.addBulk(
        Array.from({ length: Math.min(1_000, messages - i) }, () => ({ name: 'noop', data: {} })),
      );
  },
  async fillLater(messages) {
    const opts = { delay: 86_400_000 };
    for (let i = 0; i < messages; i += 1_000)
      await queue.addBulk(Array.from({ length: 1_000 }, () => ({ name: 'noop', data: {}, opts })));
  },
  async work() {
    const handle = async ({ data }) => {
      if (data.n !== undefined) counter.began.set(data.n, now());
      counter.count(1);
    };
    worker = new Worker('noop', handle, { connection: open(), concurrency: 100 });
    worker.on('error', (error) => console.error(error));
    await worker.waitUntilReady();
  },
  handled: (messages) => counter.until(messages),
  settled: () =>
    until(async () => {
      const { wait, active, prioritized } = await queue.getJobCounts('wait', 'active', 'prioritized');
      return wait + active + prioritized === 0;
    }),
  async add(n) {
    await queue.add('noop', { n });
    return now();
  },
  began: async () => [...counter.began],
  async end() {
    await worker?.close();
    await queue.close();
  },
});
