import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { createPostgresOutboxSetupStatements, repeatable, tableNamed } from '../../src/outbox/table.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let pool: pg.Pool;
beforeAll(async () => {
  database = await testDatabase({ migrated: false });
  pool = new pg.Pool({ connectionString: database.url, max: 3 });
  await pool.query('create schema shop');
});
afterAll(async () => {
  await pool.end();
  await database.end();
});

async function setUp(tableName?: string): Promise<void> {
  // With values, so that pg takes the protocol that allows one command at a time.
  for (const statement of createPostgresOutboxSetupStatements({ tableName }))
    await pool.query({ text: statement, values: [] });
}

const message = { kind: 'job', name: 'n', queue: 'jobs', payload: { a: 1 } } as const;

describe.each(['mail_outbox', 'shop.messages', undefined])('the outbox in the table %s', (tableName) => {
  it('is made by the statements, and made again without harm', async () => {
    await setUp(tableName);
    await setUp(tableName);
    const outbox = createPostgresOutbox(pool, { tableName });
    const { id } = await outbox.enqueue({ ...message, deliveryKey: 'k' });
    expect(await outbox.enqueue({ ...message, deliveryKey: 'k' })).toEqual({
      id,
      status: 'pending',
      duplicate: true,
    });
    const [claimed] = await outbox.claimBatch({ limit: 5, leaseMs: 60_000, workerId: 'w' });
    expect(claimed).toMatchObject({ id, payload: { a: 1 } });
    expect(await outbox.markFailed(id, claimed!.claimToken, 'no')).toBe(true);
    const [again] = await outbox.claimBatch({ limit: 5, leaseMs: 60_000, workerId: 'w', ids: [id] });
    expect(await outbox.extend([again!], 60_000)).toEqual([id]);
    expect(await outbox.markDelivered(id, again!.claimToken, [message])).toBe(true);
    expect(await outbox.expire(10)).toEqual([]);
    expect((await outbox.once({ scope: 's', key: 'k' }, async () => 1)).repeated).toBe(false);
    const named = tableNamed(tableName);
    const { rows } = await pool.query(
      named('select sum(recorded)::int as recorded from waybill.outbox_audit'),
    );
    expect(rows).toEqual([{ recorded: 1 }]);
    const uncounted = named('select name from waybill.outbox_messages where ends = 0');
    expect((await pool.query(uncounted)).rows).toEqual([{ name: 'n' }]);
  });
});

it('K: outboxes that one transaction records in keep the order of their keys', async () => {
  const all = ['mail_outbox', 'shop.messages', undefined].map((tableName) => ({
    on: (db: pg.Pool | pg.PoolClient) => createPostgresOutbox(db, { tableName }),
  }));
  const client = await pool.connect();
  try {
    await client.query('begin');
    for (const payload of [1, 2])
      for (const { on } of all)
        await on(client).enqueue({ ...message, queue: 'ordered', orderKey: 'k', payload });
    await client.query('commit');
  } finally {
    client.release();
  }
  for (const payload of [1, 2])
    for (const { on } of all) {
      const claimed = await on(pool).claimBatch({
        limit: 5,
        leaseMs: 60_000,
        workerId: 'w',
        queues: ['ordered'],
      });
      expect(claimed.map((one) => one.payload)).toEqual([payload]);
      await on(pool).markDelivered(claimed[0]!.id, claimed[0]!.claimToken);
    }
  for (const tableName of ['mail_outbox', 'shop.messages', undefined])
    await pool.query(tableNamed(tableName)(`delete from waybill.outbox_messages where queue = 'ordered'`));
});

it.each(['mail_outbox', 'shop.messages', undefined])(
  'the outbox in the table %s replaces messages, and holds one back behind an older one',
  async (tableName) => {
    const outbox = createPostgresOutbox(pool, { tableName });
    const of = (payload: number) =>
      ({ ...message, queue: 'replace', payload, deliveryKey: 'r', onDuplicate: 'replace' }) as const;
    const claim = () => outbox.claimBatch({ limit: 5, leaseMs: 60_000, workerId: 'w', queues: ['replace'] });
    const { id } = await outbox.enqueue(of(1));
    expect(await outbox.enqueue(of(2))).toMatchObject({ id, replaced: true });
    const [older] = await claim();
    expect((await outbox.enqueue(of(3))).duplicate).toBe(false);
    await outbox.expire(10);
    expect(await claim()).toEqual([]);
    await outbox.markDelivered(id, older!.claimToken);
    await outbox.expire(10);
    const [newer] = await claim();
    expect([older!.payload, newer!.payload]).toEqual([2, 3]);
    await pool.query(tableNamed(tableName)(`delete from waybill.outbox_messages where queue = 'replace'`));
  },
);

it('each statement may run again, so that those of a newer version upgrade an outbox', async () => {
  const again =
    /^(?:create (?:(?:schema|table|sequence|index|unique index) if not exists|or replace (?:function|trigger)|constraint trigger) |drop trigger if exists |alter table [\w."]+ add column if not exists )|^insert [\s\S]* on conflict do nothing$/;
  for (const tableName of [undefined, 'shop.messages'])
    for (const statement of createPostgresOutboxSetupStatements({ tableName }))
      expect(statement).toMatch(again);
  const added = repeatable('alter table waybill.outbox_messages add column of_a_newer_version int');
  for (const statement of [...added, ...added]) await pool.query(statement);
  await pool.query('alter table waybill.outbox_messages drop column of_a_newer_version');
});

it('three outboxes in one database do not see one another', async () => {
  const count = async (tableName?: string): Promise<unknown> =>
    (await pool.query(tableNamed(tableName)('select count(*)::int as n from waybill.outbox_messages')))
      .rows[0];
  expect(await Promise.all(['mail_outbox', 'shop.messages', undefined].map(count))).toEqual([
    { n: 2 },
    { n: 2 },
    { n: 2 },
  ]);
});

it('`waybill migrate` goes on from the statements of the standard name', async () => {
  const { applied } = await migrate(database.db, standardSources('nowhere/index.ts'));
  expect(applied).not.toContain('waybill/0001_messages.sql');
  expect(applied).toContain('waybill/0007_fleet.sql');
});

it.each([
  `Robert'); drop table students; --`,
  '1abc',
  'Messages',
  'a.b.c',
  '',
  '.a',
  'x'.repeat(41),
  'pg_catalog.messages',
  'information_schema.messages',
  'a"b',
  'a b',
])('the table name %j is refused', (tableName) => {
  const code = 'table_name_invalid';
  expect(() => createPostgresOutboxSetupStatements({ tableName })).toThrow(expect.objectContaining({ code }));
  expect(() => createPostgresOutbox(pool, { tableName })).toThrow(expect.objectContaining({ code }));
});
