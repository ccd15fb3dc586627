// A worker of pg-boss: each queue with as many jobs at a time as the other subjects have.

import { PgBoss } from 'pg-boss';
import { databaseUrl, handlerOf, isTuned, live, names, slots } from './handlers.mjs';

const boss = new PgBoss({ connectionString: databaseUrl });
boss.on('error', (error) => console.error(error));
await boss.start();
for (const name of names) {
  const handle = handlerOf(name);
  const options = {
    includeMetadata: true,
    localConcurrency: slots,
    ...(isTuned ? { pollingIntervalSeconds: 0.5 } : {}),
  };
  await boss.work(name, options, async ([{ id, data, retryCount }]) => handle(id, retryCount + 1, data));
}
live(() => boss.stop({ graceful: true, timeout: 8_000 }));
