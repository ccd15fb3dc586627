// pg-boss alone, as its own pages tune it for throughput: batches of 1,000, the next fetched as long as they are full, LISTEN/NOTIFY.

import { PgBoss } from 'pg-boss';

const boss = new PgBoss({ connectionString: process.env['DATABASE_URL']!, useListenNotify: true });
boss.on('error', (error) => console.error(error));
await boss.start();
await boss.createQueue('noop', { notify: true });

let left = 0;
async function work(): Promise<void> {
  await boss.work('noop', { batchSize: 1_000, burstWhenBatchFull: true }, async (jobs) => {
    left -= jobs.length;
    if (left === 0) process.send!('handled');
  });
}

process.on('message', (message: { drain: number }) => {
  left = message.drain;
  void work();
});
process.on('SIGTERM', () => void boss.stop({ graceful: false }).then(() => process.exit(0)));
process.send!('ready');
