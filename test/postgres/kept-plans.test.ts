// Invariant I for functions whose plans a session keeps: plans that were made while the table was small do not read the table after it has grown.
// Real: Postgres. No statistics are gathered meanwhile, so nothing makes a session plan again.

import { afterAll, beforeAll, expect, it } from 'vitest';
import pg from 'pg';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let session: pg.Client;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('alter table waybill.outbox_messages set (autovacuum_enabled = off)');
  await database.db.executeSql('alter table waybill.outbox_keys set (autovacuum_enabled = off)');
  await database.db.executeSql('vacuum analyze waybill.outbox_keys'); // empty: any plan seems free
  session = new pg.Client({ connectionString: database.url });
  await session.connect();
  await session.query(
    `insert into waybill.queues (name, operator_limits) values ('q', '{"concurrency": 5}')`,
  );
});
afterAll(async () => {
  await session.end();
  await database.end();
});

const message = { kind: 'job', name: 'n', queue: 'q', payload: {} } as const;
const outbox = () => createPostgresOutbox(session);
const uses: Readonly<Record<string, (round: number) => Promise<unknown>>> = {
  'a commit of order keys': (round) => outbox().enqueue({ ...message, orderKey: `k${round % 3}` }),
  'a recording that replaces': () =>
    outbox().enqueue({ ...message, deliveryKey: 'd', onDuplicate: 'replace' }),
  'the room that limits leave': () => session.query(`select * from waybill.queue_room('q', null)`),
};

async function scansOf(use: (round: number) => Promise<unknown>, round: number): Promise<number> {
  const sql = `select coalesce(sum(seq_scan), 0)::int as scans from pg_stat_xact_user_tables where relname in ('outbox_messages', 'outbox_keys')`;
  const scans = async (): Promise<number> => (await session.query<{ scans: number }>(sql)).rows[0]!.scans;
  await session.query('begin');
  const before = await scans(); // of transactions that are not reported yet
  await use(round);
  await session.query('set constraints all immediate');
  const after = await scans();
  await session.query('commit');
  return after - before;
}

it('read no table that has grown since their plans were made', { timeout: 60_000 }, async () => {
  for (let round = 0; round < 8; round++) for (const use of Object.values(uses)) await scansOf(use, round);
  await database.fill(
    `insert into waybill.outbox_keys (kind, name, delivery_key, message_id) select 'job', 'n', 'old ' || i, gen_random_uuid() from generate_series(1, 30000) i`,
    `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, revision)
     select gen_random_uuid(), 'job', 'n', 'other', '{}', 5, 0 from generate_series(1, 30000)`,
  );
  for (const [name, use] of Object.entries(uses)) expect([name, await scansOf(use, 1)]).toEqual([name, 0]);
});
