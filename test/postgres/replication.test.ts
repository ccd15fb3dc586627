// Logical replication of all tables: rows of a table without an identity could not be deleted any more. The publication is real; a subscriber is not
// needed, for Postgres refuses the delete all the same.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { pruneBatch, pruneKept } from '../../src/relay/prune.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { openQueue } from '../../src/queue/boss.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  const { db } = database;
  const queue = openQueue({ db, queueDb: db, backend: 'postgres', onError: () => undefined });
  await queue.install();
  await queue.close();
});
afterAll(() => database.end());

it('every table of ours, and of pg-boss, has a primary key or a replica identity', async () => {
  const { rows } = await database.db.executeSql(`
    select c.oid::regclass::text as without from pg_class c
     where c.relnamespace in ('waybill'::regnamespace, 'pgboss'::regnamespace) and c.relkind in ('r', 'p')
       and c.relreplident <> 'f'
       and not exists (select from pg_index i where i.indrelid = c.oid and (i.indisprimary or i.indisreplident))`);
  expect(rows).toEqual([]);
});

it('with a publication for all tables pruning goes on, and the audit counters agree', async () => {
  const { db } = database;
  await db.executeSql('create publication everything for all tables');
  const outbox = createPostgresOutbox(db);
  const keyed = { kind: 'job', name: 'n', queue: 'jobs', payload: {}, deliveryKey: 'k' } as const;
  await outbox.enqueue([keyed, { ...keyed, deliveryKey: 'l' }]);
  for (const { id, claimToken } of await outbox.claimBatch({ limit: 2, leaseMs: 60_000, workerId: 'w' }))
    await outbox.markDelivered(id, claimToken);
  await db.executeSql(`update waybill.outbox_messages set delivered_at = now() - interval '1 hour'`);
  const retention = { deliveredMs: 0, deadMs: 0, keyMs: 0 };
  for (let round = 0; round < 3; round++) {
    await pruneBatch(db, retention, 100);
    await pruneKept(db, retention, 100);
  }
  expect((await db.executeSql('select from waybill.outbox_messages')).rows).toEqual([]);
  expect((await db.executeSql('select from waybill.outbox_audit')).rows.length).toBe(2); // delivered, and pruned
  expect((await verifyOutbox(db)).findings).toEqual([]);
});
