// What lies behind a worker's bookmark, and what a bookmark saves where a transaction elsewhere is held open.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimLane, claimLaneSql } from '../../src/outbox/lane.ts';
import type { NewMessage } from '../../src/outbox/message.ts';
import { createPostgresOutbox } from '../../src/outbox/postgres.ts';
import { createBookmarks } from '../../src/worker/bookmarks.ts';
import { openParcels } from '../../src/worker/opening.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

const jobs = (queue: string, n: number): NewMessage[] =>
  Array.from({ length: n }, () => ({ kind: 'job', name: 'noop', queue, payload: {} }));
const lease = { leaseMs: 60_000, workerId: 'w' };

function worker(queue: string, now: () => number = () => 0) {
  const ports = { ...lease, bookmarks: createBookmarks({ now }) };
  const parcel = { queue, priority: 0, ids: [], any: 250 };
  return async (limit: number): Promise<string[]> => {
    const { claimed } = await database.db.transaction((tx) => openParcels(tx, [parcel], limit, ports));
    return claimed.map(({ message }) => message.id);
  };
}

describe('a bookmark', () => {
  it('B: does not hide what a transaction recorded that committed late', async () => {
    let now = 0;
    const claim = worker('late', () => now);
    const late = await database.db.connect();
    await late.query('begin');
    const { id } = await createPostgresOutbox(late).enqueue(jobs('late', 1)[0]!);
    await createPostgresOutbox(database.db).enqueue(jobs('late', 30));
    expect(await claim(10)).toHaveLength(10);
    await late.query('commit');
    await late.end();
    expect(await claim(10)).not.toContain(id);
    now = 5_000;
    expect(await claim(10)).toContain(id);
  });

  it('B: does not hide what a claim took that was rolled back', async () => {
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue(jobs('undone', 5));
    await outbox.enqueue(jobs('undone', 5));
    const ports = { ...lease, bookmarks: createBookmarks({ now: () => 0 }) };
    const parcel = { queue: 'undone', priority: 0, ids: [], any: 250 };
    const broken = database.db.transaction(async (tx) => {
      await openParcels(tx, [parcel], 6, ports);
      throw new Error('the connection is gone');
    });
    await expect(broken).rejects.toThrow('the connection is gone');
    const { claimed } = await database.db.transaction((tx) => openParcels(tx, [parcel], 10, ports));
    expect(claimed).toHaveLength(10);
  });

  it('I: spares a claim the walk over what was claimed before, also where a transaction is held open', async () => {
    const outbox = createPostgresOutbox(database.db);
    const held = await database.db.connect();
    try {
      for (let i = 0; i < 30; i++) await outbox.enqueue(jobs('held', 100));
      await held.query('begin isolation level repeatable read');
      await held.query('select count(*) from waybill.outbox_messages');
      const claim = { ...lease, queue: 'held', priority: 0, limit: 100 };
      let from: number | undefined;
      for (let i = 0; i < 25; i++)
        from = Math.max(...(await claimLane(database.db, { ...claim, from })).map(({ due }) => due));
      const fromBeginning = await pagesOf('held', null);
      expect(await pagesOf('held', from!)).toBeLessThan(fromBeginning / 3);
    } finally {
      await held.end();
    }
  });
});

/** Pages that finding the next ten of a lane touches. */
async function pagesOf(queue: string, from: number | null): Promise<number> {
  const select = claimLaneSql.slice(claimLaneSql.indexOf('select ctid'), claimLaneSql.indexOf('fresh as'));
  const inner = select.slice(0, select.lastIndexOf(')'));
  const values = [10, queue, 0, 1, 'w', from];
  const sql = `explain (analyze, buffers, format json) select from (${inner}) n where $4::int is not null and $5::text is not null`;
  type Plan = { 'Shared Hit Blocks': number; 'Shared Read Blocks': number };
  const { rows } = await database.db.executeSql<{ 'QUERY PLAN': [{ Plan: Plan }] }>(sql, values);
  const { Plan: plan } = rows[0]!['QUERY PLAN'][0];
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}
