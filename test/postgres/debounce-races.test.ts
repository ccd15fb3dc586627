// Recorders, claims, ends and sweeps of a few keys at the same time. Real: Postgres, and a pool with a connection for each of them. Doubled: nothing.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClaimedMessage } from '../../src/message/message.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ max: 16 });
  await database.db.executeSql(
    'create table recorded (place bigint generated always as identity, key text, payload int)',
  );
});
afterAll(() => database.end());

const keys = ['a', 'b', 'c'];
const random = (n: number): number => Math.floor(Math.random() * n);
class Undone extends Error {}

it(
  'B: messages of a key are sent one at a time, in the order of their recordings, and the newest is the last',
  { timeout: 120_000 },
  async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const inFlight = new Map<string, string>();
    const delivered: { readonly key: string; readonly payload: number }[] = [];
    const wrong: string[] = [];
    let payload = 0;
    let isOver = false;

    /** Notes in its transaction what it recorded. The key is locked then, so the notes have the order of the recordings. */
    async function record(): Promise<void> {
      const used = keys.filter(() => random(2) === 0);
      const work = db.transaction(async (tx) => {
        const of = used.map((deliveryKey) => ({ deliveryKey, payload: (payload += 1) }));
        const how = random(2) === 0 ? { onDuplicate: 'replace' as const } : { debounce: 1 + random(20) };
        const fixed = { kind: 'job', name: 'n', queue: 'q', maxAttempts: 100, ...how } as const;
        await createPostgresOutbox(tx).enqueue(of.map((one) => ({ ...fixed, ...one })));
        for (const one of of)
          await tx.executeSql('insert into recorded (key, payload) values ($1, $2)', [
            one.deliveryKey,
            one.payload,
          ]);
        if (random(3) === 0) await sleep(random(10));
        if (random(5) === 0) throw new Undone();
      });
      await work.catch((error: unknown) => {
        if (!(error instanceof Undone)) throw error;
      });
    }

    async function end(message: ClaimedMessage): Promise<void> {
      const { id, claimToken, deliveryKey } = message;
      if (inFlight.has(deliveryKey!))
        wrong.push(`${id} of ${deliveryKey} beside ${inFlight.get(deliveryKey!)}`);
      inFlight.set(deliveryKey!, id);
      await sleep(random(8));
      const how = isOver ? 0 : random(6);
      inFlight.delete(deliveryKey!);
      if (how < 3) {
        delivered.push({ key: deliveryKey!, payload: message.payload as number });
        await outbox.markDelivered(id, claimToken);
      } else if (how === 3)
        await outbox.settle([{ id, claimToken, to: 'released', error: null, delay: random(10) }]);
      else await outbox.markFailed(id, claimToken, 'no', { delayMs: random(10) });
    }

    async function work(): Promise<number> {
      const got = await outbox.claimBatch({ limit: 3, leaseMs: 60_000, workerId: 'w' });
      await Promise.all(got.map(end));
      return got.length;
    }

    const deliveries = (key: string): number => delivered.filter((one) => one.key === key).length;
    const isEnough = (): boolean => keys.every((key) => deliveries(key) >= 40);
    const repeat = async (step: () => Promise<unknown>): Promise<void> => {
      while (!isEnough()) await step();
    };
    // With a pause, so that a key is not always locked, and claims find it.
    const recorders = Array.from({ length: 5 }, () => repeat(() => record().then(() => sleep(random(60)))));
    const workers = Array.from({ length: 4 }, () => repeat(work));
    await Promise.all([...recorders, ...workers, repeat(() => outbox.expire(10).then(() => sleep(2)))]);
    isOver = true;
    for (let idle = 0; idle < 5;) {
      await outbox.expire(10);
      idle = (await work()) === 0 ? idle + 1 : 0;
      await sleep(20);
    }

    expect(wrong).toEqual([]);
    for (const key of keys) {
      const { rows } = await db.executeSql<{ payload: number }>(
        'select payload from recorded where key = $1 order by place',
        [key],
      );
      const places = new Map(rows.map((row, place) => [row.payload, place]));
      const order = delivered.filter((one) => one.key === key).map((one) => places.get(one.payload));
      expect(order).toEqual(order.toSorted((a, b) => a! - b!));
      expect([key, order.at(-1)]).toEqual([key, rows.length - 1]);
      expect(order.length).toBeGreaterThanOrEqual(40);
    }
    expect((await verifyOutbox(db)).findings).toEqual([]);
    const left = `select status from waybill.outbox_messages where status not in ('delivered', 'cancelled')`;
    expect((await db.executeSql(left)).rows).toEqual([]);
    expect((await db.executeSql('select from waybill.outbox_keys')).rows).toEqual([]);
  },
);
