// Installs pg-boss's schema, and recreates it when a part is missing. pg-boss checks only its version, so it accepts a schema without a table,
// a column or a function. Here the schema counts as installed when a job has gone in and out of each queue.

import type { PgBoss } from 'pg-boss';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import {
  asPgBoss,
  installSchema,
  type BackendProfile,
  brokenBy,
  onQueue,
  QueueBroken,
  yearInSeconds,
} from './instance.ts';

export type InstallPorts = {
  /** The application's database, which has the list of queues. */
  readonly db: Database;
  readonly queueDb: Database;
  readonly backend: BackendProfile;
  readonly onError: (error: Error) => void;
  /** Creates missing queues, and returns pg-boss. */
  ensure(names: readonly string[]): Promise<PgBoss>;
  /** Drops the instance and its cached list of queues. */
  forget(): Promise<void>;
};

/** Key of the advisory lock under which one process at a time recreates the schema. */
const lock = 7_702_005;

/** @throws when the schema could not be created; QueueBroken when it does not work afterwards */
export async function install(ports: InstallPorts): Promise<void> {
  if (await works(ports)) return;
  const { queueDb, backend } = ports;
  if (backend !== 'postgres') return remake(ports); // other backends have no advisory locks
  await queueDb.transaction(async (tx) => {
    await tx.executeSql('select pg_advisory_xact_lock($1)', [lock]);
    if (!(await works(ports))) await remake(ports); // otherwise another process has recreated it meanwhile
  });
}

async function works(ports: InstallPorts): Promise<boolean> {
  try {
    await create(ports);
    await tryAll(ports);
    return true;
  } catch (error) {
    if (!brokenBy(error)) throw error;
    return false;
  }
}

async function create({ forget, queueDb, backend, onError }: InstallPorts): Promise<void> {
  await forget();
  await installSchema(queueDb, backend, onError);
}

async function remake(ports: InstallPorts): Promise<void> {
  await removeSchema(ports);
  await create(ports);
  await onQueue(() => tryAll(ports));
}

/** Drops the schema if it holds only our wake-ups. With queues or jobs of another application it is renamed instead. */
async function removeSchema({ db, queueDb, onError }: InstallPorts): Promise<void> {
  const ours = new Set(await queueNames(db));
  const named = (await namesIn(queueDb)).filter((name) => !ours.has(name) && !name.startsWith('__pgboss'));
  const others = [...named, ...(await takenNames(queueDb))];
  if (others.length === 0) return void (await queueDb.executeSql('drop schema if exists pgboss cascade'));
  const aside = `pgboss_broken_${Math.floor(Date.now() / 1000)}`;
  await queueDb.executeSql(`alter schema pgboss rename to ${aside}`);
  onError(new Error(`pgboss was incomplete and holds queues of others (${others[0]}): it is ${aside} now`));
}

/** The queue names in the schema. */
const namesIn = (queueDb: Executor): Promise<string[]> =>
  readable(queueDb, ['select name from pgboss.queue', 'select distinct name from pgboss.job']);

/** Queues that another application created, or has jobs in, whatever their names are. */
const takenNames = (queueDb: Executor): Promise<string[]> =>
  readable(queueDb, [
    `select name from pgboss.queue where name not like '\\_\\_pgboss%' and retention_seconds <> ${yearInSeconds}`,
    `select distinct name from pgboss.job where name not like '\\_\\_pgboss%' and jsonb_typeof(data -> 'messages') is distinct from 'number'`,
  ]);

/** The names that these statements give, as far as the tables can be read. */
async function readable(queueDb: Executor, statements: readonly string[]): Promise<string[]> {
  const all = statements.map(async (sql) => {
    try {
      return (await queueDb.executeSql<{ name: string }>(sql)).rows.map(({ name }) => name);
    } catch (error) {
      if (!brokenBy(error)) throw error;
      return [];
    }
  });
  return (await Promise.all(all)).flat();
}

async function queueNames(db: Executor): Promise<string[]> {
  const sql = `select name from waybill.queues where name ~ '^[a-zA-Z0-9_./-]{1,200}$' order by name`; // pg-boss accepts no others
  return (await db.executeSql<{ name: string }>(sql)).rows.map(({ name }) => name);
}

class Undo extends Error {}

/** Sends a job through each queue, in a transaction that is rolled back, to test all that a job needs. */
async function tryAll({ db, queueDb, ensure }: InstallPorts): Promise<void> {
  const names = await queueNames(db);
  const pgBoss = await ensure(names);
  for (const name of names) await pgBoss.insert(name, []); // caches the queue, which would need a second connection later
  try {
    await queueDb.transaction(async (tx) => {
      for (const name of names) await tryOne(pgBoss, name, tx);
      throw new Undo();
    });
  } catch (error) {
    if (!(error instanceof Undo)) throw error;
  }
}

async function tryOne(pgBoss: PgBoss, name: string, tx: Executor): Promise<void> {
  const at = { db: asPgBoss(tx) };
  await pgBoss.insert(name, [{ data: { messages: 0 }, priority: 0 }], at);
  const jobs = await pgBoss.fetch<unknown>(name, { batchSize: 1, includeMetadata: true, ...at });
  if (jobs.length === 0) throw new QueueBroken(`a job that goes into ${name} does not come out`);
  await pgBoss.deleteJob(
    name,
    jobs.map(({ id, retryCount }) => ({ id, retryCount })),
    at,
  );
}
