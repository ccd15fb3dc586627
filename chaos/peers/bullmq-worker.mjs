// A worker of BullMQ on Redis.

import { fromBench, handlerOf, isTuned, live, names, slots } from './handlers.mjs';

const { Worker } = await fromBench('bullmq');
const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
const workers = names.map((name) => {
  const handle = handlerOf(name);
  const options = { connection, concurrency: slots, ...(isTuned ? { maxStalledCount: 100 } : {}) };
  const worker = new Worker(
    name,
    (job) => handle(job.id, job.attemptsStarted ?? job.attemptsMade + 1, job.data),
    options,
  );
  worker.on('error', (error) => console.error(error));
  return worker;
});
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
live(() => Promise.all(workers.map((worker) => worker.close())));
