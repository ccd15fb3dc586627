// An instance of pg-boss with our flags: what it does by itself is off, and its statements run on connections of ours.

import type { ConstructorOptions, PgBoss } from 'pg-boss';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Use } from '../db/settings.ts';

export type BackendProfile = NonNullable<ConstructorOptions['backend']>;
export type BossDatabase = NonNullable<ConstructorOptions['db']>;

/** The settings of sessions on pg-boss's database when it is one of its own. */
export const useOf = (backend: BackendProfile): Use => (backend === 'postgres' ? 'ours' : 'plain');

/** Begins to load pg-boss where a queue is opened, so that nobody waits for it later; processes that only read these modules do without. */
export const load = async () => import('pg-boss');

export async function start(
  queueDb: Database,
  backend: BackendProfile,
  migrate: boolean,
  onError: (error: Error) => void,
): Promise<PgBoss> {
  const { PgBoss: Instance } = await load();
  const pgBoss = new Instance({
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
