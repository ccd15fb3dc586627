// The audit counters against the rows: whatever is done to messages, legally or by hand, what was recorded stays known, and what is missing shows.

import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createFleetFigures } from '../../src/metrics/fleet.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
import { cancelMessage, retryMessage } from '../../src/operate/operate.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { foldAuditSql, pruneBatch } from '../../src/relay/prune.ts';
import { readStats } from '../../src/operate/stats.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let outbox: OutboxPort;
beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
beforeEach(async () => {
  await database.db.executeSql('truncate waybill.outbox_messages cascade');
  await database.db.executeSql('truncate waybill.outbox_audit');
});
afterAll(() => database.end());

const record = (n: number) =>
  outbox.enqueue(
    Array.from({ length: n }, () => ({ kind: 'job', name: 'n', queue: 'jobs', payload: {} }) as const),
  );
const any = async (where: string, limit: number): Promise<string[]> => {
  const sql = `select id from waybill.outbox_messages where ${where} order by id limit $1`;
  return (await database.db.executeSql<{ id: string }>(sql, [limit])).rows.map(({ id }) => id);
};
const claimed = { limit: 3, leaseMs: 60_000, workerId: 'w' };

/** What may happen to messages. Each changes nothing of how many were recorded. */
const steps: Readonly<Record<string, () => Promise<unknown>>> = {
  async 'claim some'() {
    return outbox.claimBatch({ ...claimed, ids: await any(`status in ('pending', 'failed')`, 3) });
  },
  'claim what is due': () => outbox.claimBatch(claimed),
  'claim at a place': () => claimWaiting(database.db, { ...claimed, queue: 'jobs', priority: 0 }),
  async deliver() {
    const sql = `select id, claim_token as "claimToken" from waybill.outbox_messages where status = 'sending' limit 2`;
    const held = (await database.db.executeSql<{ id: string; claimToken: string }>(sql)).rows;
    return outbox.settle(held.map((one) => ({ ...one, to: 'delivered', then: [] }) as const));
  },
  async 'give back'() {
    const sql = `select id, claim_token as "claimToken" from waybill.outbox_messages where status = 'sending' limit 1`;
    const held = (await database.db.executeSql<{ id: string; claimToken: string }>(sql)).rows;
    return outbox.settle(held.map((one) => ({ ...one, to: 'released', error: null, delay: 0 }) as const));
  },
  async cancel() {
    for (const id of await any(`status in ('pending', 'failed')`, 1)) await cancelMessage(database.db, id);
  },
  async retry() {
    for (const id of await any(`status in ('dead', 'cancelled')`, 1)) await retryMessage(database.db, id);
  },
  prune: () => pruneBatch(database.db, { deliveredMs: -1_000, deadMs: -1_000, keyMs: 0 }, 2),
  fold: () => database.db.executeSql(foldAuditSql, [100]),
};

describe('the audit counters', () => {
  it('agree with the rows, the statistics and the metric after any of it', async () => {
    const script = fc.array(fc.constantFrom('record', ...Object.keys(steps)), { maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(script, async (names) => {
        await database.db.executeSql('truncate waybill.outbox_messages cascade');
        await database.db.executeSql('truncate waybill.outbox_audit');
        let recorded = 0;
        for (const name of names) {
          if (name === 'record') recorded += (await record(2)).length;
          else await steps[name]!();
          const { ok, kinds } = await verifyOutbox(database.db);
          const books = kinds.find(({ kind }) => kind === 'job');
          expect([name, ok, books?.recorded ?? 0]).toEqual([name, true, recorded]);
        }
        const { byStatus } = await readStats(database.db);
        const delivered = await database.db.executeSql(
          'select 1 from waybill.outbox_messages where delivered_at is not null',
        );
        expect(byStatus.delivered).toBe(delivered.rows.length);
        const figures = createFleetFigures(database.db, createMetrics({ version: 'test' }), performance);
        expect(await figures.render()).toContain(`waybill_outbox_recorded_total{kind="job"} ${recorded}\n`);
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    ['waits', async () => undefined],
    ['was claimed', async () => outbox.claimBatch(claimed)],
    ['was cancelled', steps['cancel']!],
  ])('miss a message that %s and that somebody deleted', async (_, before) => {
    await record(3);
    await before();
    await database.db.executeSql('delete from waybill.outbox_messages');
    const { ok, kinds, findings } = await verifyOutbox(database.db);
    expect({ ok, kinds, findings }).toMatchObject({
      ok: false,
      kinds: [{ recorded: 3, difference: -3 }],
      findings: [{ code: 'messages_missing', count: 3 }],
    });
  });

  it('miss what somebody truncated', async () => {
    await record(3);
    await outbox.claimBatch({ ...claimed, limit: 1 });
    await database.db.executeSql('truncate waybill.outbox_messages cascade');
    expect(await verifyOutbox(database.db)).toMatchObject({
      ok: false,
      kinds: [{ recorded: 3, difference: -3 }],
    });
  });

  it('A: what was not committed is in none of them', async () => {
    await expect(
      database.db.transaction(async (tx) => {
        await createPostgresOutbox(tx).enqueue({ kind: 'job', name: 'n', queue: 'jobs', payload: {} });
        throw new Error('changed its mind');
      }),
    ).rejects.toThrow('changed its mind');
    expect(await verifyOutbox(database.db)).toMatchObject({ ok: true, kinds: [] });
  });
});
