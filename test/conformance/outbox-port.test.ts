import { afterAll } from 'vitest';
import { createMemoryOutbox } from '../../src/outbox/memory.ts';
import { createPostgresOutbox } from '../../src/outbox/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { outboxPortSuite, type Seen } from './suite.ts';

let database: TestDatabase | undefined;
afterAll(async () => database?.end());

outboxPortSuite('memory', async () => {
  const port = createMemoryOutbox();
  const find = (id: string) => port.messages.find((m) => m.id === id)!;
  return {
    port,
    see: async (id) => {
      const { status, attempts, lastError } = find(id);
      return { status, attempts, lastError };
    },
    cancel: async (id) => void (find(id).status = 'cancelled'),
  };
});

outboxPortSuite('Postgres', async () => {
  database = await testDatabase();
  const { db } = database;
  return {
    port: createPostgresOutbox(db),
    async see(id) {
      const sql = `select status, attempts, last_error as "lastError" from waybill.outbox_messages where id = $1`;
      return (await db.executeSql<Seen>(sql, [id])).rows[0]!;
    },
    async cancel(id) {
      await db.executeSql(
        `update waybill.outbox_messages set status = 'cancelled', cancelled_at = now() where id = $1`,
        [id],
      );
    },
  };
});
