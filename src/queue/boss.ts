// The queue of wake-ups in pg-boss: each of its jobs is a wake-up. A job is fetched and deleted in one transaction, so none stays "active".
// pg-boss's retries, expiry, dead letters, retention, maintenance and cron therefore have nothing to do and are off.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { wakeUpChannel } from '../outbox/notify.ts';
import { contentsOf, type Contents } from './contents.ts';
import { onQueue, QueueBroken, asPgBoss, openInstance, type BackendProfile } from './instance.ts';
import { install } from './install.ts';
import { dataOf, fromData, type WakeUp } from './wake-up.ts';

export type WakeUpQueue = Contents & {
  /** Creates pg-boss's schema where it is missing or incomplete. A job in and out of each queue tests it. */
  install(): Promise<void>;
  /** Creates missing queues. */
  ensure(queues: readonly string[]): Promise<void>;
  /** Inserts wake-ups, as part of the transaction when pg-boss is in the same database. */
  send(tx: Executor, wakeUps: readonly WakeUp[]): Promise<void>;
  /** Fetches and deletes wake-ups, highest priority first. Foreign jobs are deleted too, and omitted from the answer. */
  take(queue: string, count: number): Promise<WakeUp[]>;
  close(): Promise<void>;
};

export type WakeUpQueueOptions = {
  /** The application's database, which has the list of queues. */
  readonly db: Database;
  /** pg-boss's database; the same object as `db` when they share one. */
  readonly queueDb: Database;
  readonly backend: BackendProfile;
  /** Called with pg-boss's error events; without a listener one lost connection ends the process. */
  readonly onError: (error: Error) => void;
};

export function openQueue({ db, queueDb, backend, onError }: WakeUpQueueOptions): WakeUpQueue {
  const { ensure, forget } = openInstance(queueDb, backend, onError);
  let installing: Promise<void> | undefined;

  async function put(tx: Executor, queue: string, wakeUps: readonly WakeUp[]): Promise<void> {
    const pgBoss = await ensure([queue]);
    const jobs = wakeUps.map((wakeUp) => ({ data: dataOf(wakeUp), priority: wakeUp.priority }));
    const at = asPgBoss(db === queueDb ? tx : queueDb);
    const ids = await pgBoss.insert(queue, jobs, { db: at, returnId: true });
    // Into a queue that was deleted, pg-boss inserts nothing and reports no error.
    if (ids?.length !== jobs.length) throw new QueueBroken(`the queue ${queue} takes no jobs`);
  }

  async function takeIn(tx: Executor, queue: string, count: number): Promise<WakeUp[]> {
    const pgBoss = await ensure([queue]);
    const at = { db: asPgBoss(tx) };
    const jobs = await pgBoss.fetch<unknown>(queue, { batchSize: count, includeMetadata: true, ...at });
    const its = jobs.map(({ id, retryCount }) => ({ id, retryCount }));
    if (its.length > 0) await pgBoss.deleteJob(queue, its, at);
    return jobs.flatMap(({ priority, data }) => {
      const told = fromData(data);
      return told === undefined ? [] : [{ queue, priority, ...told }];
    });
  }

  return {
    ...contentsOf(queueDb, db !== queueDb),
    ensure: (queues) => onQueue(async () => void (await ensure(queues))),
    /** Several loops may find the schema broken at once; one installs it. */
    install: () =>
      (installing ??= install({ db, queueDb, backend, onError, ensure, forget }).finally(
        () => (installing = undefined),
      )),
    async send(tx, wakeUps) {
      for (const [queue, its] of Map.groupBy(wakeUps, ({ queue }) => queue))
        await onQueue(() => put(tx, queue, its));
    },
    take: (queue, count) => onQueue(() => queueDb.transaction((tx) => takeIn(tx, queue, count))),
    close: forget,
  };
}

/** Sends workers a NOTIFY that these queues have wake-ups: when they are inserted, and again while they are not fetched. */
export async function tellWorkers(db: Executor, queues: Iterable<string>): Promise<void> {
  const sql = `select pg_notify('${wakeUpChannel}', name) from unnest($1::text[]) as q(name)`;
  await db.executeSql(sql, [[...new Set(queues)]]);
}
