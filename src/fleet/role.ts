// The type of a role, and the outbox and the queue that roles share, as configured.

import type { Executor } from '../db/executor.ts';
import { openDatabase, type Database } from '../db/pool.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { createPostgresOutbox } from '../store/postgres.ts';
import type { Config } from '../config/config.ts';
import type { Front } from '../http/front.ts';
import type { Host } from '../process/host.ts';
import type { Life } from '../process/life.ts';
import type { Service } from '../process/serve.ts';
import { openQueue, type WakeUpQueue } from '../queue/boss.ts';
import { useOf } from '../queue/instance.ts';

/** `life`: the application, if the role runs or schedules its code. All roles of a process share it; it is set up once. */
export type Cast = { readonly service: Service; readonly life?: Life };

/** What a role has once in a process, over all its databases. `front`: of web, where there are several. */
export type Common = { front?: Front };

/** Composes the role for one database. */
export type Role = (host: Host, common: Common) => Promise<Cast>;

export function closing(service: Service, close: () => Promise<void>): Service {
  const run = async (signal: AbortSignal): Promise<void> => {
    await service.run(signal);
    await close();
  };
  return { ...service, run };
}

export function outboxOf(config: Config): (db: Executor) => OutboxPort {
  return (db) =>
    createPostgresOutbox(db, { maxPayloadBytes: config.maxPayloadBytes, payloadKeys: config.payloadKeys });
}

export function queueOf({ config, db, log, role }: Host): WakeUpQueue {
  const onError = (error: Error): void => log.warn({ err: error }, 'pg-boss reports an error');
  return configuredQueue(config, db, { applicationName: `waybill ${role} queue`, max: 4, onError });
}

/** `close` also ends the connections to a database of the queue's own. */
export function configuredQueue(
  { databaseUrl, queueDatabaseUrl, queueBackend: backend }: Config,
  db: Database,
  options: { readonly applicationName: string; readonly max: number; onError(error: Error): void },
): WakeUpQueue {
  const { applicationName, max, onError } = options;
  if (queueDatabaseUrl === databaseUrl) return openQueue({ db, queueDb: db, backend, onError });
  const queueDb = openDatabase({
    url: queueDatabaseUrl,
    setting: 'QUEUE_DATABASE_URL',
    use: useOf(backend),
    max,
    applicationName,
    onIdleError: onError,
  });
  const queue = openQueue({ db, queueDb, backend, onError });
  return {
    ...queue,
    async close() {
      await queue.close();
      await queueDb.end();
    },
  };
}
