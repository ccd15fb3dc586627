// An instance of pg-boss with our flags: what it does by itself is off, and its statements run on connections of ours.

import { PgBoss, type ConstructorOptions } from 'pg-boss';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';

export type BackendProfile = NonNullable<ConstructorOptions['backend']>;
export type BossDatabase = NonNullable<ConstructorOptions['db']>;

export async function start(
  queueDb: Database,
  backend: BackendProfile,
  migrate: boolean,
  onError: (error: Error) => void,
): Promise<PgBoss> {
  const pgBoss = new PgBoss({
    db: asPgBoss(queueDb),
    backend,
    migrate,
    createSchema: migrate,
    supervise: false,
    schedule: false,
    monitorVacuum: false,
    reindex: false,
  });
  pgBoss.on('error', onError);
  return pgBoss.start();
}

export function asPgBoss(executor: Executor): BossDatabase {
  return { executeSql: (text, values) => executor.executeSql(text, values) };
}
