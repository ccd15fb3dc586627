// What tests of imports from BullMQ share: a Redis and a database of their own, queues that are gone after the test, and an import.

import { Queue, Worker, type Job } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest';
import type { ImportOptions, ImportReport } from '../../src/transfer/import.ts';
import { bullmqSource } from '../../src/transfer/bullmq.ts';
import type { Source } from '../../src/transfer/source.ts';
import { testDatabase, type TestDatabase } from './database.ts';
import { runImport, type Rows } from './importing.ts';
import { startRedis, type TestRedis } from './redis.ts';

export type BullmqImports = {
  readonly the: { readonly database: TestDatabase; readonly redis: TestRedis };
  connection(): { readonly host: string; readonly port: number };
  open(name: string, prefix?: string): Queue;
  /** Fetches a job as a worker of BullMQ does. */
  fetched(name: string): Promise<Job>;
  /** A client beside BullMQ's own. */
  admin(): Redis;
  /** @param more options of the import, and `around`, which sees each step of the source */
  run(
    rows: Rows,
    more?: Partial<ImportOptions> & { readonly around?: (source: Source) => Source },
    prefix?: string,
  ): Promise<ImportReport>;
};

/** In a describe. */
export function bullmqImports(): BullmqImports {
  const the = {} as { database: TestDatabase; redis: TestRedis };
  beforeAll(async () => {
    the.database = await testDatabase();
    the.redis = await startRedis();
  });
  afterAll(async () => {
    await the.redis.end();
    await the.database.end();
  });
  beforeEach(() => the.database.db.executeSql('truncate waybill.outbox_messages cascade'));
  const connection = (): { host: string; port: number } => ({ host: '127.0.0.1', port: the.redis.port });
  return {
    the,
    connection,
    open(name, prefix = 'bull') {
      const queue = new Queue(name, { connection: connection(), prefix });
      onTestFinished(async () => {
        await queue.obliterate({ force: true });
        await queue.close();
      });
      return queue;
    },
    async fetched(name) {
      const worker = new Worker(name, null, { connection: connection() });
      onTestFinished(() => worker.close());
      return (await worker.getNextJob('token'))!;
    },
    admin() {
      const admin = new Redis(the.redis.port);
      onTestFinished(() => admin.disconnect());
      return admin;
    },
    async run(rows, { around = (source: Source) => source, ...more } = {}, prefix) {
      const source = await bullmqSource(the.redis.url, prefix);
      try {
        return await runImport(the.database.db, around(source), rows, more);
      } finally {
        await source.close();
      }
    },
  };
}
