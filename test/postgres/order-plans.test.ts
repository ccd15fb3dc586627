// Invariant I with order keys: what a commit costs does not grow with the backlog of a key, nor with the settled rows. Real: Postgres, 100,000 rows,
// and statistics that know nothing of them.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { advanceOrders } from '../../src/outbox/order.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const rows = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, status, attempts, delivered_at, relayed_at, order_key, order_position, revision)
  select gen_random_uuid(), 'job', 'n', 'q', '{}', 5, 'delivered', 1, now(), now(), 'k' || i % 1000, i, 0 from generate_series(1, 60000) i;
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, order_key, order_position, order_due, available_at, revision)
  select gen_random_uuid(), 'job', 'n', 'q', '{}', 5, 'k' || least(i % 80, 50), i, now(), 'infinity', 0 from generate_series(1, 40000) i`;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.fill(
    'set session_replication_role = replica',
    'alter table waybill.outbox_messages set (autovacuum_enabled = off)',
    ...rows.split(';'),
    `select setval('waybill.outbox_order_positions', 1000000)`,
  );
});
afterAll(() => database.end());

type Scans = { readonly scans: number; readonly read: number };

it.each(['stale', 'current'])(
  'with %s statistics, the commit reads no table and few index entries',
  async (which) => {
    if (which === 'current') await database.db.executeSql('analyze waybill.outbox_messages');
    for (let round = 0; round < 8; round++) {
      // from the sixth execution on the plans are generic
      await database.db.transaction(async (tx) => {
        const outbox = createPostgresOutbox(tx);
        const message = (orderKey: string) =>
          ({ kind: 'job', name: 'n', queue: 'q', payload: {}, orderKey }) as const;
        await outbox.enqueue([message('k50'), message('k1'), message(`new ${round}`)]);
        await tx.executeSql('set constraints all immediate');
        const { rows: found } = await tx.executeSql<Scans>(
          `select seq_scan::int as scans, idx_tup_fetch::int as read from pg_stat_xact_user_tables where relname = 'outbox_messages'`,
        );
        expect(found[0]!.scans).toBe(0);
        expect(found[0]!.read).toBeLessThan(250);
      });
    }
  },
);

it('the sweep finds late keys by their index', async () => {
  await database.db.executeSql(
    `insert into waybill.outbox_order_changes (xact, queue, order_key, is_late) values ('1', 'q', 'k50', true)`,
  );
  expect(await advanceOrders(database.db, 100)).toBe(1);
  expect(await advanceOrders(database.db, 100)).toBe(0);
});
