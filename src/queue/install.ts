// Installing pg-boss's schema, and making it anew when a part of it is missing. pg-boss itself asks for its version alone, so a schema without
// a table, a column or a function passes as installed: here a job goes in and out of each queue before it does.

import type { PgBoss } from 'pg-boss';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { asPgBoss, installSchema, type BackendProfile, brokenBy, onQueue, QueueBroken } from './instance.ts';

export type InstallPorts = {
  /** The application's: it knows the queues. */
  readonly db: Database;
  readonly queueDb: Database;
  readonly backend: BackendProfile;
  readonly onError: (error: Error) => void;
  /** Creates the queues that are not there, and gives pg-boss. */
  ensure(names: readonly string[]): Promise<PgBoss>;
  /** What is known of the schema is not true any more. */
  forget(): Promise<void>;
};

/** Any number, the same in every process: one at a time makes the schema anew. */
const lock = 7_702_005;

/** @throws when the schema could not be made; QueueBroken when it does not work though it was */
export async function install(ports: InstallPorts): Promise<void> {
  if (await works(ports)) return;
  const { queueDb, backend } = ports;
  if (backend !== 'postgres') return remake(ports); // the others have no advisory locks
  await queueDb.transaction(async (tx) => {
    await tx.executeSql('select pg_advisory_xact_lock($1)', [lock]);
    if (!(await works(ports))) await remake(ports); // else another process has made it meanwhile
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

/** Drops it, where all that it holds are wake-ups of ours. What somebody else's pg-boss has there is moved aside, and nothing of it is lost. */
async function removeSchema({ db, queueDb, onError }: InstallPorts): Promise<void> {
  const ours = new Set(await queueNames(db));
  const others = (await namesIn(queueDb)).filter((name) => !ours.has(name) && !name.startsWith('__pgboss'));
  if (others.length === 0) return void (await queueDb.executeSql('drop schema if exists pgboss cascade'));
  const aside = `pgboss_broken_${Math.floor(Date.now() / 1000)}`;
  await queueDb.executeSql(`alter schema pgboss rename to ${aside}`);
  onError(new Error(`pgboss was incomplete and holds queues of others (${others[0]}): it is ${aside} now`));
}

/** As far as its tables can be read. */
async function namesIn(queueDb: Executor): Promise<string[]> {
  const all = ['select name from pgboss.queue', 'select distinct name from pgboss.job'].map(async (sql) => {
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
  const sql = `select name from waybill.queues where name ~ '^[a-zA-Z0-9_./-]{1,200}$' order by name`; // pg-boss takes no others
  return (await db.executeSql<{ name: string }>(sql)).rows.map(({ name }) => name);
}

class Undo extends Error {}

/** A job through each queue, in a transaction that is undone: what it meets on its way is there, and does what it should. */
async function tryAll({ db, queueDb, ensure }: InstallPorts): Promise<void> {
  const names = await queueNames(db);
  const pgBoss = await ensure(names);
  for (const name of names) await pgBoss.insert(name, []); // reads the queue now: in the transaction that would take one connection more
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
