// A worker of graphile-worker. With the argument `migrate` it only makes the tables.

import { databaseUrl, fromBench, handlerOf, live, names, slots } from './handlers.mjs';

const { run, runMigrations } = await fromBench('graphile-worker');
if (process.argv[2] === 'migrate') {
  await runMigrations({ connectionString: databaseUrl });
  process.exit(0);
}
const taskList = Object.fromEntries(
  names.map((name) => {
    const handle = handlerOf(name);
    const task = (payload, { job, withPgClient }) =>
      handle(String(job.id), job.attempts, payload, (sql, values) =>
        withPgClient((client) => client.query(sql, values)),
      );
    return [name, task];
  }),
);
const runner = await run({
  connectionString: databaseUrl,
  concurrency: slots,
  noHandleSignals: true,
  taskList,
});
live(() => runner.stop());
