// Ourselves, as deployed: a relay and a worker process with their defaults, metrics and log on. While messages are put in, the queue is
// paused, as a person would pause it.

import { setTimeout as sleep } from 'node:timers/promises';
import { jobMessages } from '../../src/define/messages.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase } from '../../src/db/pool.ts';
import { createPostgresOutbox } from '../../src/outbox/postgres.ts';
import { pauseSql, resumeSql } from '../../src/outbox/queues.ts';
import { version } from '../../src/process/host.ts';
import { noop } from '../app.ts';
import { startChild, type Child } from '../child.ts';
import type { Contender } from './contender.ts';

export async function waybill(url: string): Promise<Contender> {
  const db = openDatabase({ url, max: 8, applicationName: 'bench', onIdleError: () => undefined });
  await migrate(db, standardSources('bench/app.ts'));
  const env = { DATABASE_URL: url, WAYBILL_APP: 'bench/app.ts' };
  const children: Child[] = [];
  for (const role of ['relay', 'jobs']) {
    const flags = process.env['BENCH_PROFILE']
      ? ['--cpu-prof', `--cpu-prof-dir=${process.env['BENCH_PROFILE']}`]
      : [];
    const child = startChild([...flags, '--import', 'tsx', `workers/${role}.ts`], env);
    await child.says(`"${role}: started"`);
    children.push(child);
  }
  const outbox = createPostgresOutbox(db);
  return {
    name: 'waybill',
    version: version(),
    async fill(messages) {
      await db.executeSql(pauseSql, ['jobs', 'bench', 'filling']);
      for (let i = 0; i < messages; i += 1_000)
        await outbox.enqueue(
          await jobMessages(
            noop,
            Array.from({ length: 1_000 }, () => ({ payload: {} })),
          ),
        );
    },
    async drain() {
      const open = `select from waybill.outbox_messages where relayed_at is null and cancelled_at is null
        union all select from waybill.outbox_messages
          where relayed_at is not null and delivered_at is null and dead_at is null and cancelled_at is null limit 1`;
      const began = performance.now();
      await db.executeSql(resumeSql, ['jobs']);
      while ((await db.executeSql(open)).rows.length > 0) await sleep(20);
      return performance.now() - began;
    },
    pids: () => children.map((child) => child.pid),
    async end() {
      for (const child of children) await child.end();
      await db.end();
    },
  };
}
