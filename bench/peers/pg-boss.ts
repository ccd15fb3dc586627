import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { startChild, type Child } from '../child.ts';
import type { Contender } from './contender.ts';

const { version } = createRequire(import.meta.url)('pg-boss/package.json') as { version: string };

export async function pgBossAlone(url: string): Promise<Contender> {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue('noop', { notify: true });
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => undefined);
  let child: Child | undefined;
  return {
    name: 'pg-boss',
    version,
    async fill(messages) {
      await child?.end();
      for (let i = 0; i < messages; i += 1_000)
        await boss.insert(
          'noop',
          Array.from({ length: 1_000 }, () => ({ data: {} })),
        );
      child = startChild(['--import', 'tsx', 'bench/peers/pg-boss-worker.ts'], { DATABASE_URL: url });
      await child.hear();
    },
    async drain(messages) {
      const began = performance.now();
      child!.send({ drain: messages });
      await child!.hear();
      const open = `select from pgboss.job where name = 'noop' and state < 'completed' limit 1`;
      while ((await pool.query(open)).rows.length > 0) await sleep(5);
      const ms = performance.now() - began;
      await pool.query(`delete from pgboss.job where name = 'noop'`);
      return ms;
    },
    pids: () => (child ? [child.pid] : []),
    async end() {
      await child?.end();
      await boss.stop({ graceful: false });
      await pool.end();
    },
  };
}
