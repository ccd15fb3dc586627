// An instance of pg-boss with its background work turned off. Its statements run on our connections.

import { AssertionError } from 'node:assert';
import type { ConstructorOptions, PgBoss } from 'pg-boss';
import { sqlState, isUnreachable } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Use } from '../db/settings.ts';
import { isWaybillError, WaybillError } from '../errors.ts';

/** A started instance of pg-boss. */
export type Boss = PgBoss;
export type BackendProfile = NonNullable<ConstructorOptions['backend']>;
export type BossDatabase = NonNullable<ConstructorOptions['db']>;

/** Session settings for pg-boss's database when it is a separate one. */
export const useOf = (backend: BackendProfile): Use => (backend === 'postgres' ? 'ours' : 'plain');

/** Loads pg-boss. It is called when a queue is opened, so processes that only import these modules never load it. */
export const load = async () => import('pg-boss');

export async function start(
  queueDb: Database,
  backend: BackendProfile,
  migrate: boolean,
  onError: (error: Error) => void,
  { createSchema = false, schema = 'pgboss' } = {},
): Promise<PgBoss> {
  const { PgBoss: Instance } = await load();
  const pgBoss = new Instance({
    db: asPgBoss(queueDb),
    backend,
    schema,
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

/** Errors when another process creates or migrates the schema meanwhile: pg-boss does not check again after it waited for its lock. */
const madeMeanwhile = ['42P06', '42P07', '42710', '42723', '42701', '23505', '22012', '40001', '40P01'];
const rounds = 5;

/** Creates or migrates pg-boss's schema. The privilege to create schemas is needed only where the schema does not exist. */
export async function installSchema(
  queueDb: Database,
  backend: BackendProfile,
  onError: (error: Error) => void,
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      const sql = `select exists (select from pg_catalog.pg_namespace where nspname = 'pgboss') as there`;
      const { there } = (await queueDb.executeSql<{ there: boolean }>(sql)).rows[0]!;
      const pgBoss = await start(queueDb, backend, true, onError, { createSchema: !there });
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
  /** Creates missing queues, and returns the started pg-boss. @throws WaybillError `queue_taken` */
  ensure(queues: readonly string[]): Promise<PgBoss>;
  /** Stops the instance. The next `ensure` starts another, with no queue in its cache. */
  forget(): Promise<void>;
};

/** Wake-ups are kept for long: if pg-boss deleted one, the relay would only have to send it again. It also marks a queue as ours. */
export const yearInSeconds = 365 * 86_400;

/** pg-boss is started on first use. */
export function openInstance(
  queueDb: Database,
  backend: BackendProfile,
  onError: (error: Error) => void,
): OpenInstance {
  let started: Promise<PgBoss> | undefined;
  const known = new Set<string>();
  load().catch(onError); // in advance, so that the first use need not wait

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
        await checkOurs(pgBoss, queue);
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

/**
 * A queue that exists already stays as it is. If an application that uses pg-boss itself created it, workers would take its jobs for wake-ups and
 * delete them.
 * @throws WaybillError `queue_taken`
 */
async function checkOurs(pgBoss: PgBoss, queue: string): Promise<void> {
  const found = await pgBoss.getQueue(queue);
  if (!found || Number(found.retentionSeconds) === yearInSeconds) return;
  throw new WaybillError(
    'queue_taken',
    `the schema pgboss has a queue ${queue} of another application, and its jobs would be lost: set QUEUE_DATABASE_URL to a database where only Waybill uses pg-boss`,
  );
}

/** A part of pg-boss's schema is missing or does not work. */
export class QueueBroken extends Error {
  override readonly name = 'QueueBroken';

  constructor(what: string, options?: ErrorOptions) {
    super(`pg-boss's schema is incomplete and is made anew; no message is lost: ${what}`, options);
  }
}

/**
 * SQLSTATEs that do not mean a broken schema: transactions that failed, were rolled back or refused, and statements that were cancelled. Also
 * 42501: a role without the privilege could not repair the schema.
 */
const passing = /^(25|40|42501|55|57)/;

export function brokenBy(error: unknown): boolean {
  // pg-boss asserts its arguments
  if (error instanceof AssertionError || isWaybillError(error) || isUnreachable(error)) return false;
  const state = sqlState(error);
  return state === undefined || !passing.test(state);
}

/** Runs a call of pg-boss. @throws QueueBroken where its schema is at fault; other errors are thrown as they are */
export async function onQueue<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof QueueBroken || !brokenBy(error)) throw error;
    throw new QueueBroken((error as Error).message, { cause: error });
  }
}
