// What lies behind a worker's bookmark, and what a bookmark saves where a transaction elsewhere is held open.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimSql, claimWaiting } from '../../src/outbox/claim.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { createWhere } from '../../src/worker/where.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

const jobs = (queue: string, n: number): NewMessage[] =>
  Array.from({ length: n }, () => ({ kind: 'job', name: 'noop', queue, payload: {} }));
const lease = { leaseMs: 60_000, workerId: 'w' };

/** Claims at one place as a worker does, from where its last claim ended. */
function worker(queue: string, now: () => number = () => 0) {
  const where = createWhere([queue]);
  return async (limit: number): Promise<string[]> => {
    const ids: string[] = [];
    where.notified(`${queue}:0`, now());
    for (let spot = where.ready(now())[0]; spot && ids.length < limit; spot = where.ready(now())[0]) {
      where.begin(spot, now());
      const wanted = limit - ids.length;
      const claim = { ...lease, queue, priority: 0, limit: wanted, begins: wanted, from: spot.bookmark };
      const got = await claimWaiting(database.db, claim);
      const lastDue = got.length === 0 ? undefined : Math.max(...got.map(({ due }) => due));
      where.end(spot, now(), {
        messages: got.length,
        isFull: got.length === wanted,
        isPrefetching: false,
        lastDue,
      });
      ids.push(...got.map(({ message }) => message.id));
    }
    return ids;
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

  it('B: does not hide what failed and is due again: a claim that finds less than it wanted begins at the first', async () => {
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue(jobs('undone', 12));
    const claim = worker('undone');
    const [first] = await claim(10);
    await database.db.executeSql(
      `update waybill.outbox_messages set status = 'failed', claim_token = null, claimed_by = null, claimed_at = null, claimed_until = null,
              prefetched = null, relayed_at = null, revision = revision + 1 where id = $1`,
      [first],
    );
    const rest = await claim(10);
    expect(rest).toHaveLength(3);
    expect(rest).toContain(first);
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
        from = Math.max(...(await claimWaiting(database.db, { ...claim, from })).map(({ due }) => due));
      const fromBeginning = await pagesOf('held', null);
      expect(await pagesOf('held', from!)).toBeLessThan(fromBeginning / 3);
    } finally {
      await held.end();
    }
  });
});

/** Pages that finding the next ten of a place touches. */
async function pagesOf(queue: string, from: number | null): Promise<number> {
  const select = claimSql.slice(claimSql.indexOf('select ctid'), claimSql.indexOf('chosen as'));
  const inner = select.slice(0, select.lastIndexOf(')'));
  const values = [10, queue, 0, 1, 'w', null, from];
  const sql = `explain (analyze, buffers, format json) select from (${inner}) n where $4::int is not null and $5::text is not null and $6::int8 is null`;
  type Plan = { 'Shared Hit Blocks': number; 'Shared Read Blocks': number };
  const { rows } = await database.db.executeSql<{ 'QUERY PLAN': [{ Plan: Plan }] }>(sql, values);
  const { Plan: plan } = rows[0]!['QUERY PLAN'][0];
  return plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
}
