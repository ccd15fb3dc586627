// pg-boss as a dispatcher: its job is a wake-up and nothing more. A job is taken and deleted in one transaction, so none is ever "active"
// afterwards: pg-boss's retries, expiry, dead letters, retention, maintenance and cron have nothing to do and are off.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { wakeUpChannel } from '../outbox/notify.ts';
import { contentsOf, type Contents } from './contents.ts';
import { onQueue, QueueBroken, asPgBoss, openInstance, type BackendProfile } from './instance.ts';
import { install } from './install.ts';
import { messagesOf, type WakeUp } from './wake-up.ts';

export type WakeUpQueue = Contents & {
  /** Creates pg-boss's schema where it is missing, and anew where a part of it is; a job in and out of each queue is the proof. */
  install(): Promise<void>;
  /** Creates the queues that are not there. */
  ensure(queues: readonly string[]): Promise<void>;
  /** Puts wake-ups in, as part of the transaction when pg-boss lives in the same database. */
  send(tx: Executor, wakeUps: readonly WakeUp[]): Promise<void>;
  /** Takes wake-ups out, the highest priority first. What is none of ours is taken too, and left out of the answer. */
  take(queue: string, count: number): Promise<WakeUp[]>;
  close(): Promise<void>;
};

export type WakeUpQueueOptions = {
  /** The application's database: it knows the queues. */
  readonly db: Database;
  /** pg-boss's database; the same object when it is the same database. */
  readonly queueDb: Database;
  readonly backend: BackendProfile;
  /** Hears what pg-boss reports beside its answers; without a listener one lost connection ends the process (FACTS 13). */
  readonly onError: (error: Error) => void;
};

export function openQueue({ db, queueDb, backend, onError }: WakeUpQueueOptions): WakeUpQueue {
  const { ensure, forget } = openInstance(queueDb, backend, onError);
  let installing: Promise<void> | undefined;

  async function put(tx: Executor, queue: string, wakeUps: readonly WakeUp[]): Promise<void> {
    const pgBoss = await ensure([queue]);
    const jobs = wakeUps.map(({ messages, priority }) => ({ data: { messages }, priority }));
    const at = asPgBoss(db === queueDb ? tx : queueDb);
    const ids = await pgBoss.insert(queue, jobs, { db: at, returnId: true });
    // It inserts nothing, without an error, into a queue that somebody has deleted.
    if (ids?.length !== jobs.length) throw new QueueBroken(`the queue ${queue} takes no jobs`);
  }

  async function takeIn(tx: Executor, queue: string, count: number): Promise<WakeUp[]> {
    const pgBoss = await ensure([queue]);
    const at = { db: asPgBoss(tx) };
    const jobs = await pgBoss.fetch<unknown>(queue, { batchSize: count, includeMetadata: true, ...at });
    const its = jobs.map(({ id, retryCount }) => ({ id, retryCount }));
    if (its.length > 0) await pgBoss.deleteJob(queue, its, at);
    return jobs.flatMap(({ priority, data }) => {
      const messages = messagesOf(data);
      return messages === undefined ? [] : [{ queue, priority, messages }];
    });
  }

  return {
    ...contentsOf(queueDb, db !== queueDb),
    ensure: (queues) => onQueue(async () => void (await ensure(queues))),
    /** Several loops may meet the same: one makes it. */
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

/** Tells the workers that wake-ups wait in these queues. Beside the commit that put them there, or again when nobody has taken them. */
export async function tellWorkers(db: Executor, queues: Iterable<string>): Promise<void> {
  const sql = `select pg_notify('${wakeUpChannel}', name) from unnest($1::text[]) as q(name)`;
  await db.executeSql(sql, [[...new Set(queues)]]);
}
