// A fresh embedded Postgres with the schema, and real relay and worker processes on it.

import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../src/dev/postgres.ts';
import { migrate, standardSources } from '../src/db/migrate.ts';
import { openDatabase, type Database } from '../src/db/pool.ts';

export type BenchWorld = {
  readonly db: Database;
  readonly url: string;
  /** Starts a process of the fleet; resolves when it runs. */
  start(
    role: 'relay' | 'jobs' | 'email' | 'scheduler',
    env?: Readonly<Record<string, string>>,
  ): Promise<void>;
  end(): Promise<void>;
};

export async function benchWorld(): Promise<BenchWorld> {
  const server = await startPostgres({ persistent: false });
  const db = openDatabase({
    url: server.url(),
    max: 8,
    applicationName: 'bench',
    onIdleError: () => undefined,
  });
  await migrate(db, standardSources('bench/app.ts'));
  await db.executeSql('create table began (message_id uuid, ms float8)');
  const children: ChildProcess[] = [];
  return {
    db,
    url: server.url(),
    async start(role, more = {}) {
      const env = {
        ...process.env,
        DATABASE_URL: server.url(),
        WAYBILL_APP: 'bench/app.ts',
        LOG_LEVEL: 'info',
        ...more,
      };
      const cwd = fileURLToPath(new URL('..', import.meta.url));
      const child = spawn(process.execPath, ['--import', 'tsx', `workers/${role}.ts`], {
        cwd,
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      const lines = createInterface({ input: child.stdout });
      await new Promise<void>((resolve, reject) => {
        child.once('exit', (code) => reject(new Error(`${role} ended with ${code}`)));
        lines.on('line', (line) => line.includes(`"${role}: started"`) && resolve());
      });
      child.removeAllListeners('exit');
    },
    async end() {
      await Promise.all(
        children.map(
          (child) => new Promise((resolve) => (child.once('close', resolve), child.kill('SIGTERM'))),
        ),
      );
      await db.end();
      await server.end();
    },
  };
}

export async function withWorld<T>(use: (world: BenchWorld) => Promise<T>): Promise<T> {
  const world = await benchWorld();
  try {
    return await use(world);
  } finally {
    await world.end();
  }
}
