// An instance of pg-boss with our flags: what it does by itself is off, and its statements run on connections of ours.

import type { ConstructorOptions, PgBoss } from 'pg-boss';
import { sqlState, isUnreachable } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Use } from '../db/settings.ts';
import { AssertionError } from 'node:assert';

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
  createSchema = false,
): Promise<PgBoss> {
  const { PgBoss: Instance } = await load();
  const pgBoss = new Instance({
    db: asPgBoss(queueDb),
    backend,
    migrate,
    createSchema,
    supervise: false,
    schedule: false,
    monitorVacuum: false,
    reindex: false,
  });
  pgBoss.on('error', onError);
  return pgBoss.start();
}

/** Somebody else made, or migrated, the same schema at the same moment: pg-boss looks, waits for its lock, and does not look again. */
const madeMeanwhile = ['42P06', '42P07', '42710', '42723', '42701', '23505', '22012', '40001', '40P01'];
const rounds = 5;

/** Creates what is missing of pg-boss's schema. It asks for the right to create schemas only where there is none. */
export async function installSchema(
  queueDb: Database,
  backend: BackendProfile,
  onError: (error: Error) => void,
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      const sql = `select exists (select from pg_catalog.pg_namespace where nspname = 'pgboss') as there`;
      const { there } = (await queueDb.executeSql<{ there: boolean }>(sql)).rows[0]!;
      const pgBoss = await start(queueDb, backend, true, onError, !there);
      return await pgBoss.stop({ graceful: false, close: false });
    } catch (error) {
      if (round === rounds || !madeMeanwhile.includes(sqlState(error) ?? '')) throw error;
    }
  }
}

export function asPgBoss(executor: Executor): BossDatabase {
  return { executeSql: (text, values) => executor.executeSql(text, values) };
}

export type OpenInstance = {
  /** Creates the queues that are not there, and gives pg-boss, started. */
  ensure(queues: readonly string[]): Promise<PgBoss>;
  /** Ends it. The next question starts another, to which no queue is known. */
  forget(): Promise<void>;
};

/** A wake-up may wait as long as it likes: what pg-boss would delete, the relay would only have to make again. */
const yearInSeconds = 365 * 86_400;

/** Starts nothing yet. */
export function openInstance(
  queueDb: Database,
  backend: BackendProfile,
  onError: (error: Error) => void,
): OpenInstance {
  let started: Promise<PgBoss> | undefined;
  const known = new Set<string>();
  load().catch(onError); // whoever needs it first would wait

  function boss(): Promise<PgBoss> {
    started ??= start(queueDb, backend, false, onError);
    started.catch(() => (started = undefined));
    return started;
  }

  return {
    async ensure(queues) {
      const pgBoss = await boss();
      for (const queue of queues) {
        if (known.has(queue)) continue;
        await pgBoss.createQueue(queue, {
          policy: 'standard',
          retryLimit: 0,
          retentionSeconds: yearInSeconds,
        });
        known.add(queue);
      }
      return pgBoss;
    },
    async forget() {
      known.clear();
      const before = started;
      started = undefined;
      await (await before?.catch(() => undefined))?.stop({ graceful: false, close: false });
    },
  };
}

/** A part of pg-boss's schema is missing or does not do what it should. */
export class QueueBroken extends Error {
  override readonly name = 'QueueBroken';

  constructor(what: string, options?: ErrorOptions) {
    super(`pg-boss's schema is incomplete and is made anew; no message is lost: ${what}`, options);
  }
}

/**
 * Transactions that failed, were rolled back or refused, and statements that were cut short: no schema is at fault. Nor where this role lacks a
 * privilege (42501): it could not mend it.
 */
const passing = /^(25|40|42501|55|57)/;

export function brokenBy(error: unknown): boolean {
  if (error instanceof AssertionError || isUnreachable(error)) return false; // pg-boss asserts what it was given
  const state = sqlState(error);
  return state === undefined || !passing.test(state);
}

/** Runs what asks pg-boss. @throws QueueBroken where its schema is at fault; other errors pass through */
export async function onQueue<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof QueueBroken || !brokenBy(error)) throw error;
    throw new QueueBroken((error as Error).message, { cause: error });
  }
}
