import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
import type { ClaimedMessage } from '../../src/message/message.ts';
import type { Settlement } from '../../src/message/outcome.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
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

describe('a claim', () => {
  it('E: gives what `claimBatch` gives, to the microsecond at which a message was recorded', async () => {
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
    const place = { ...lease, queue: 'both', priority: 3 };
    const waiting = await claimed(async (tx) =>
      (await claimWaiting(tx, place)).map(({ message }) => message),
    );
    expect(waiting.size).toBe(ids.length);
    expect(waiting).toEqual(byName);
  });

  it('C: has one token, and an end under the token of an earlier claim is none, whatever stands beside it', async () => {
    const outbox = createPostgresOutbox(database.db);
    const message = { kind: 'job', name: 'n', queue: 'again', payload: {}, maxAttempts: 3 } as const;
    await outbox.enqueue([message, message, message]);
    const take = async (limit: number) =>
      (await claimWaiting(database.db, { ...lease, limit, queue: 'again', priority: 0 })).map(
        (one) => one.message,
      );
    const end = ({ id, claimToken }: ClaimedMessage): Settlement => ({
      id,
      claimToken,
      to: 'delivered',
      then: [],
    });
    const settled = async (...ends: ClaimedMessage[]) =>
      (await outbox.settle(ends.map(end))).map(({ id }) => id);
    const [lost] = await take(1);
    await outbox.settle([{ ...end(lost!), to: 'released', error: null, delay: 0 }]);
    const held = await take(10);
    expect(held).toHaveLength(3);
    expect(new Set(held.map(({ claimToken }) => claimToken)).size).toBe(1);
    const [other, last] = held.filter(({ id }) => id !== lost!.id);
    expect(await settled(lost!, other!)).toEqual([other!.id]);
    expect(await settled(last!, other!)).toEqual([last!.id]);
    const again = held.find(({ id }) => id === lost!.id)!;
    expect(await settled(lost!, again)).toEqual([lost!.id]); // both attempts of one message are over
  });
});
