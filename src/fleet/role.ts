// The type of a role, and the outbox and the queue that roles share, as configured.

import type { Executor } from '../db/executor.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { createPostgresOutbox } from '../store/postgres.ts';
import type { Config } from '../config/config.ts';
import type { Host } from '../process/host.ts';
import type { Life } from '../process/life.ts';
import type { Service } from '../process/run.ts';
import { openQueue, type WakeUpQueue } from '../queue/boss.ts';
import { useOf } from '../queue/instance.ts';

/** `life`: the application, if the role runs or schedules its code. All roles of a process share it; it is set up once. */
export type Cast = { readonly service: Service; readonly life?: Life };

export type Role = (host: Host) => Promise<Cast>;

export function outboxOf(config: Config): (db: Executor) => OutboxPort {
  return (db) => createPostgresOutbox(db, { maxPayloadBytes: config.maxPayloadBytes });
}

export function queueOf(host: Host): WakeUpQueue {
  const { config, db, log, role } = host;
  const onError = (error: Error): void => log.warn({ err: error }, 'pg-boss reports an error');
  const apart = config.queueDatabaseUrl !== config.databaseUrl;
  const queueDb: Database = apart
    ? openDatabase({
        url: config.queueDatabaseUrl,
        setting: 'QUEUE_DATABASE_URL',
        use: useOf(config.queueBackend),
        max: 4,
        applicationName: `waybill ${role} queue`,
        onIdleError: onError,
      })
    : db;
  const queue = openQueue({ db, queueDb, backend: config.queueBackend, onError });
  if (!apart) return queue;
  return {
    ...queue,
    async close() {
      await queue.close();
      await queueDb.end();
    },
  };
}
