// pg-boss as a dispatcher: its job is a wake-up and nothing more. A job is taken and deleted in the claiming transaction, so none is
// ever "active" afterwards: pg-boss's retries, expiry, dead letters, retention, maintenance and cron have nothing to do and are off.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { parcelChannel } from '../outbox/nudge.ts';
import { contentsOf, type Contents } from './contents.ts';
import { onQueue, QueueBroken } from './broken.ts';
import { install } from './install.ts';
import { asPgBoss, openInstance, type BackendProfile, type BossDatabase } from './instance.ts';
import { anyOf, bossQueue, dataOf, idsOf, type Parcel } from './parcel.ts';

export type ParcelQueue = Contents & {
  /** Creates pg-boss's schema where it is missing, and anew where a part of it is; a job in and out of each queue is the proof. */
  install(): Promise<void>;
  /** Creates the queues that are not there. */
  ensure(queues: readonly string[]): Promise<void>;
  /** Puts parcels in, as part of the transaction when pg-boss lives in the same database, and tells the workers when it commits. */
  send(tx: Executor, parcels: readonly Parcel[]): Promise<void>;
  /** Takes parcels out, as part of the transaction likewise: a rollback puts them back. `alone`: those that want a worker for themselves. */
  take(tx: Executor, queue: string, alone: boolean, count: number): Promise<Parcel[]>;
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

export function openQueue({ db, queueDb, backend, onError }: ParcelQueueOptions): ParcelQueue {
  const shared = db === queueDb;
  const here = (tx: Executor): BossDatabase => asPgBoss(shared ? tx : queueDb);
  const { ensure, forget } = openInstance(queueDb, backend, onError);
  let installing: Promise<void> | undefined;

  async function put(tx: Executor, queue: string, parcels: readonly Parcel[]): Promise<void> {
    const pgBoss = await ensure([queue]);
    const jobs = parcels.map((parcel) => ({ data: dataOf(parcel), priority: parcel.priority }));
    const ids = await pgBoss.insert(queue, jobs, { db: here(tx), returnId: true });
    // It inserts nothing, without an error, into a queue that somebody has deleted.
    if (ids?.length !== jobs.length) throw new QueueBroken(`the queue ${queue} takes no jobs`);
  }

  async function takeIn(at: Executor, queue: string, alone: boolean, count: number): Promise<Parcel[]> {
    const name = bossQueue(queue, alone);
    const pgBoss = await ensure([name]);
    const options = { batchSize: count, includeMetadata: true as const, db: asPgBoss(at) };
    const jobs = await pgBoss.fetch<unknown>(name, options);
    const its = jobs.map(({ id, retryCount }) => ({ id, retryCount }));
    if (its.length > 0) await pgBoss.deleteJob(name, its, { db: asPgBoss(at) });
    return jobs.map(({ priority, data }) => {
      const any = anyOf(data);
      return { queue, alone, priority, ids: idsOf(data), ...(any === undefined ? {} : { any }) };
    });
  }

  return {
    ...contentsOf(queueDb, shared ? undefined : db),
    ensure: (queues) => onQueue(async () => void (await ensure(queues))),
    /** Several loops may meet the same: one makes it. */
    install: () =>
      (installing ??= install({ db, queueDb, backend, onError, ensure, forget }).finally(
        () => (installing = undefined),
      )),
    async send(tx, parcels) {
      const byQueue = Map.groupBy(parcels, (parcel) => bossQueue(parcel.queue, parcel.alone ?? false));
      for (const [queue, its] of byQueue) await onQueue(() => put(tx, queue, its));
      const notify = `select pg_notify('${parcelChannel}', name) from unnest($1::text[]) as q(name)`;
      await tx.executeSql(notify, [[...byQueue.keys()]]);
    },
    take: (tx, queue, alone, count) =>
      onQueue(() =>
        shared
          ? takeIn(tx, queue, alone, count)
          : queueDb.transaction((own) => takeIn(own, queue, alone, count)),
      ),
    close: forget,
  };
}
