// BullMQ, whatever it keeps its jobs in. Jobs that have ended are removed, as its pages advise.

import { Queue, Worker } from 'bullmq';
import { createCounter, now, until } from './serve.mjs';

/**
 * @param open gives a connection of its own to each that asks
 * @param backend what makes the store of a connection; without it, Redis
 * @param close ends what was opened and is not BullMQ's own
 */
export async function bullmqPart({ open, backend, concurrency, close = async () => undefined }) {
  const removed = { removeOnComplete: true };
  const queue = new Queue('noop', { connection: open(), defaultJobOptions: removed }, backend);
  await queue.waitUntilReady();
  const counter = createCounter();
  let worker;
  const handle = async ({ data }) => {
    if (data.n !== undefined) counter.began.set(data.n, now());
    counter.count(1);
  };
  async function put(messages, opts) {
    for (let i = 0; i < messages; i += 1_000)
      await queue.addBulk(
        Array.from({ length: Math.min(1_000, messages - i) }, () => ({ name: 'noop', data: {}, opts })),
      );
  }
  async function rest() {
    await worker?.close();
    worker = undefined;
  }
  return {
    fill: (messages) => put(messages, {}),
    fillLater: (messages) => put(messages, { delay: 86_400_000 }),
    async work() {
      counter.reset();
      worker = new Worker('noop', handle, { connection: open(), concurrency }, backend);
      worker.on('error', (error) => console.error(error));
      await worker.waitUntilReady();
    },
    rest,
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
      await rest();
      await queue.close();
      await close();
    },
  };
}
