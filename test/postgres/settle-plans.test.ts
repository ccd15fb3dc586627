import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Settlement } from '../../src/message/outcome.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { settleStatement } from '../../src/outbox/settle.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

// The statistics are of a moment in which nothing was being sent: the planner expects to find no row, and joins accordingly.
const waiting = 5_000;
const settled = 250;

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
  await database.db.executeSql('alter table waybill.outbox_messages set (autovacuum_enabled = off)');
  const message = { kind: 'job', name: 'n', queue: 'jobs', payload: {} } as const;
  await createPostgresOutbox(database.db).enqueue(Array.from({ length: waiting }, () => message));
  await database.db.executeSql('analyze waybill.outbox_messages');
});
afterAll(() => database.end());

type Node = {
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: Node[];
};

/** Rows that a statement has looked at. */
async function looks(sql: string, values: readonly unknown[]): Promise<number> {
  const { rows } = await database.db.executeSql<{ 'QUERY PLAN': [{ Plan: Node }] }>(
    `explain (analyze, format json) ${sql}`,
    values,
  );
  const of = (node: Node): number =>
    node['Actual Loops'] *
      (node['Actual Rows'] +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Join Filter'] ?? 0)) +
    (node.Plans ?? []).reduce((sum, plan) => sum + of(plan), 0);
  return of(rows[0]!['QUERY PLAN'][0].Plan);
}

describe('I: settling, with statistics of a moment in which nothing was being sent', () => {
  let claims: readonly Settlement[];
  beforeAll(async () => {
    const outbox = createPostgresOutbox(database.db);
    const all = await outbox.claimBatch({ limit: waiting, leaseMs: 60_000, workerId: 'w' });
    claims = all.map(({ id, claimToken }) => ({ id, claimToken, to: 'delivered', then: [] }));
  });

  it('what is delivered: reads the table once at most', async () => {
    const { sql, values } = settleStatement(claims.slice(0, settled), []);
    const looked = await looks(sql, values);
    expect(looked).toBeGreaterThanOrEqual(settled);
    expect(looked).toBeLessThan(4 * waiting);
  });

  it('others: does not read the table once for each of them', async () => {
    const failed = claims
      .slice(settled, 2 * settled)
      .map(
        ({ id, claimToken }) =>
          ({ id, claimToken, to: 'failed', error: 'e', delay: 0, ambiguous: false }) as const,
      );
    const { sql, values } = settleStatement(failed, []);
    const looked = await looks(sql, values);
    expect(looked).toBeGreaterThanOrEqual(settled);
    expect(looked).toBeLessThan((waiting * settled) / 4);
  });
});
