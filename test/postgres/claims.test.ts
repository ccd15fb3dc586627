import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { claimLane } from '../../src/outbox/lane.ts';
import type { ClaimedMessage } from '../../src/outbox/message.ts';
import { createPostgresOutbox } from '../../src/outbox/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(() => database.end());

const lease = { limit: 100, leaseMs: 15_000, workerId: 'w' };
class Undone extends Error {}

/** What a claim gives, by id and without the token, which each draws anew. It is taken back. */
async function claimed(claim: (tx: Executor) => Promise<readonly ClaimedMessage[]>) {
  let messages: readonly ClaimedMessage[] = [];
  await database.db
    .transaction(async (tx) => {
      messages = await claim(tx);
      throw new Undone();
    })
    .catch((error: unknown) => {
      if (!(error instanceof Undone)) throw error;
    });
  return new Map(messages.map((message) => [message.id, { ...message, claimToken: null }]));
}

describe('a claim from a lane', () => {
  it('E: gives what a claim by name gives, to the microsecond at which a message was recorded', async () => {
    const outbox = createPostgresOutbox(database.db);
    const origin = {
      deliveryKey: 'key "1"',
      requestId: 'r',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    };
    const ids: string[] = [];
    for (let i = 0; i < 60; i++) {
      const more = i % 3 === 0 ? { ...origin, deliveryKey: `key "${i}"` } : {};
      const job = {
        kind: 'job' as const,
        name: `job${i % 4}`,
        queue: 'both',
        payload: { i },
        priority: 3,
        ...more,
      };
      ids.push((await outbox.enqueue({ ...job, maxAttempts: 1 + (i % 5) })).id);
    }
    const times = fc.sample(fc.integer({ min: 0, max: 1_800_000_000_000_000 }), ids.length);
    await database.db.executeSql(
      `update waybill.outbox_messages m set created_at = to_timestamp(0) + t.us * interval '1 microsecond', revision = m.revision + 1
         from unnest($1::uuid[], $2::int8[]) as t(id, us) where m.id = t.id`,
      [ids, times],
    );
    const byName = await claimed((tx) => createPostgresOutbox(tx).claimBatch({ ...lease, ids }));
    const lane = { ...lease, queue: 'both', priority: 3 };
    const fromLane = await claimed(async (tx) => (await claimLane(tx, lane)).map(({ message }) => message));
    expect(fromLane.size).toBe(ids.length);
    expect(fromLane).toEqual(byName);
  });
});
