// pg-boss as a dispatcher: its job is a wake-up and nothing more. A job is taken and deleted in the claiming transaction, so none is
// ever "active" afterwards: pg-boss's retries, expiry, dead letters, retention, maintenance and cron have nothing to do and are off.

import { PgBoss, type ConstructorOptions } from 'pg-boss';
import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { parcelChannel } from '../outbox/nudge.ts';
import { bossQueue, fromBossQueue, idsOf, type Parcel } from './parcel.ts';

type BackendProfile = NonNullable<ConstructorOptions['backend']>;
type BossDatabase = NonNullable<ConstructorOptions['db']>;

export type ParcelQueue = {
  /** Creates pg-boss's schema where it is missing, also after somebody dropped it. */
  install(): Promise<void>;
  /** Creates the queues that are not there. */
  ensure(queues: readonly string[]): Promise<void>;
  /** Puts parcels in, as part of the transaction when pg-boss lives in the same database, and tells the workers when it commits. */
  send(tx: Executor, parcels: readonly Parcel[]): Promise<void>;
  /** Takes parcels out, as part of the transaction likewise: a rollback puts them back. `alone`: those that want a worker for themselves. */
  take(tx: Executor, queue: string, alone: boolean, count: number): Promise<Parcel[]>;
  /** Which of these queues hold parcels, and of which sort. */
  ready(queues: readonly string[]): Promise<{ readonly queue: string; readonly alone: boolean }[]>;
  /** Messages that wait in each queue. */
  depth(): Promise<Map<string, number>>;
  /** The ids that wait in these queues. */
  waiting(queues: readonly string[]): Promise<Set<string>>;
  close(): Promise<void>;
};

export type ParcelQueueOptions = {
  /** The application's database: for the notification. */
  readonly db: Database;
  /** pg-boss's database; the same object when it is the same database. */
  readonly queueDb: Database;
  readonly backend: BackendProfile;
  /** Hears what pg-boss reports beside its answers; without a listener one lost connection ends the process (FACTS 13). */
  readonly onError: (error: Error) => void;
};

/** A parcel may wait as long as it likes: what pg-boss would delete, the sweep would only have to relay again. */
const yearInSeconds = 365 * 86_400;

export function openQueue({ db, queueDb, backend, onError }: ParcelQueueOptions): ParcelQueue {
  const shared = db === queueDb;
  const here = (tx: Executor): BossDatabase => asPgBoss(shared ? tx : queueDb);
  let started: Promise<PgBoss> | undefined;
  const known = new Set<string>();

  function boss(): Promise<PgBoss> {
    started ??= start(queueDb, backend, false, onError);
    started.catch(() => (started = undefined));
    return started;
  }

  async function ensure(queues: readonly string[]): Promise<void> {
    const pgBoss = await boss();
    for (const queue of queues) {
      if (known.has(queue)) continue;
      await pgBoss.createQueue(queue, { policy: 'standard', retryLimit: 0, retentionSeconds: yearInSeconds });
      known.add(queue);
    }
  }

  return {
    ensure,
    async install() {
      known.clear();
      const before = started;
      started = undefined;
      await (await before?.catch(() => undefined))?.stop({ graceful: false, close: false });
      await (await start(queueDb, backend, true, onError)).stop({ graceful: false, close: false });
    },
    async send(tx, parcels) {
      const byQueue = Map.groupBy(parcels, (parcel) => bossQueue(parcel.queue, parcel.alone ?? false));
      await ensure([...byQueue.keys()]);
      const pgBoss = await boss();
      for (const [queue, its] of byQueue) {
        const jobs = its.map((parcel) => ({ data: { ids: parcel.ids }, priority: parcel.priority }));
        await pgBoss.insert(queue, jobs, { db: here(tx) });
      }
      const notify = `select pg_notify('${parcelChannel}', name) from unnest($1::text[]) as q(name)`;
      await tx.executeSql(notify, [[...byQueue.keys()]]);
    },
    async take(tx, queue, alone, count) {
      const name = bossQueue(queue, alone);
      await ensure([name]);
      const pgBoss = await boss();
      const takeIn = async (at: Executor): Promise<Parcel[]> => {
        const options = { batchSize: count, includeMetadata: true as const, db: asPgBoss(at) };
        const jobs = await pgBoss.fetch<unknown>(name, options);
        if (jobs.length > 0)
          await pgBoss.deleteJob(
            name,
            jobs.map(({ id, retryCount }) => ({ id, retryCount })),
            { db: asPgBoss(at) },
          );
        return jobs.map((job) => ({ queue, alone, priority: job.priority, ids: idsOf(job.data) }));
      };
      return shared ? takeIn(tx) : queueDb.transaction(takeIn);
    },
    async ready(queues) {
      const sql = `select name from unnest($1::text[]) as q(name)
        where exists (select from pgboss.job j where j.name = q.name and j.state = 'created')`;
      return (await queueDb.executeSql<{ name: string }>(sql, [withAlone(queues)])).rows.map((row) =>
        fromBossQueue(row.name),
      );
    },
    async depth() {
      const sql = `select name, sum(jsonb_array_length(data -> 'ids'))::int as messages
        from pgboss.job where state = 'created' and jsonb_typeof(data -> 'ids') = 'array' group by name`;
      const { rows } = await queueDb.executeSql<{ name: string; messages: number }>(sql);
      const depth = new Map<string, number>();
      for (const { name, messages } of rows) {
        const { queue } = fromBossQueue(name);
        depth.set(queue, (depth.get(queue) ?? 0) + messages);
      }
      return depth;
    },
    async waiting(queues) {
      const sql = `select data from pgboss.job where name = any($1) and state = 'created'`;
      const { rows } = await queueDb.executeSql<{ data: unknown }>(sql, [withAlone(queues)]);
      return new Set(rows.flatMap((row) => idsOf(row.data)));
    },
    async close() {
      await (await started?.catch(() => undefined))?.stop({ graceful: false, close: false });
    },
  };
}

async function start(
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

function withAlone(queues: readonly string[]): string[] {
  return queues.flatMap((queue) => [bossQueue(queue, false), bossQueue(queue, true)]);
}

function asPgBoss(executor: Executor): BossDatabase {
  return { executeSql: (text, values) => executor.executeSql(text, values) };
}
