// Order keys under load (invariant K): many connections record, several claim, attempts fail, workers die. Real: Postgres. The test keeps, for each
// transaction, the times at which its commit was sent and answered: of two that did not overlap, the first is first.

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase({ max: 24 })));
afterAll(() => database.end());

const [recorders, rounds, keyCount] = [16, 30, 12];
const queue = 'load';
const random = (below: number): number => Math.floor(Math.random() * below);
const keyOf = (): string => `key ${random(keyCount)}`;

type Commit = { readonly sent: number; readonly answered: number };
/** By message. */
const commits = new Map<string, Commit>();

async function recordSome(): Promise<void> {
  let [ids, sent]: [string[], number] = [[], 0];
  const failed = random(10) === 0;
  await database.db
    .transaction(async (tx) => {
      const outbox = createPostgresOutbox(tx);
      for (let n = random(3); n >= 0; n--) {
        const message = (): NewMessage => ({
          kind: 'job',
          name: 'n',
          queue,
          payload: {},
          orderKey: keyOf(),
          onDead: 'skip',
          maxAttempts: 4,
        });
        ids.push(
          ...(await outbox.enqueue(Array.from({ length: 1 + random(3) }, message))).map(({ id }) => id),
        );
      }
      await sleep(random(8));
      if (failed) throw new Error('rolled back');
      sent = performance.now();
    })
    .catch((error: unknown) => {
      if (!failed) throw error;
      ids = [];
    });
  for (const id of ids) commits.set(id, { sent, answered: performance.now() });
}

/** Order keys of messages that a living worker has in hand. */
const inHand = new Set<string>();
const overlaps: string[] = [];
const delivered: string[] = [];

async function deliver({ id, claimToken, orderKey }: ClaimedMessage): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  if (inHand.has(orderKey!)) overlaps.push(orderKey!);
  inHand.add(orderKey!);
  await sleep(random(4));
  const end = random(20);
  if (end > 2) delivered.push(id); // before the settlement: the next one may begin as soon as that is recorded
  inHand.delete(orderKey!);
  const settled =
    end === 0
      ? await outbox.markFailed(id, claimToken, 'no', { permanent: true })
      : end <= 2
        ? await outbox.markFailed(id, claimToken, 'not yet', { delayMs: random(10) })
        : await outbox.markDelivered(id, claimToken);
  expect(settled).toBe(true);
}

async function work(workerId: string, isOver: () => boolean): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  while (!isOver()) {
    const dies = random(12) === 0;
    const request = { limit: 1 + random(6), leaseMs: dies ? 20 : 30_000, workerId, queues: [queue] };
    const claimed = await outbox.claimBatch(request);
    if (!dies) await Promise.all(claimed.map(deliver));
    if (claimed.length === 0) await sleep(2);
  }
}

async function sweep(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await createPostgresOutbox(database.db).expire(100);
    await sleep(10);
  }
}

type Row = { readonly id: string; readonly status: string; readonly key: string };

it(
  'K: never two of a key at once, each key in the order of its commits, and none lost',
  { timeout: 120_000 },
  async () => {
    let isRecorded = false;
    const open = async (): Promise<boolean> => {
      const sql = `select from waybill.outbox_messages where queue = $1 and status in ('pending', 'failed', 'sending') limit 1`;
      return (await database.db.executeSql(sql, [queue])).rows.length > 0;
    };
    let isOver = false;
    const workers = [
      ...['w1', 'w2', 'w3', 'w4'].map((name) => work(name, () => isOver)),
      sweep(() => isOver),
    ];
    await Promise.all(
      Array.from({ length: recorders }, async () => {
        for (let round = 0; round < rounds; round++) await recordSome();
      }),
    );
    isRecorded = true;
    while (isRecorded && (await open())) await sleep(20);
    isOver = true;
    await Promise.all(workers);

    expect(overlaps).toEqual([]);
    const { rows } = await database.db.executeSql<Row>(
      `select id::text as id, status, order_key as key from waybill.outbox_messages where queue = $1 order by order_key, order_position`,
      [queue],
    );
    expect(rows.map(({ id }) => id).toSorted()).toEqual([...commits.keys()].toSorted());
    expect(new Set(rows.map(({ status }) => status))).toEqual(new Set(['delivered', 'dead']));
    for (const its of Map.groupBy(rows, ({ key }) => key).values()) {
      const sequence = its.filter(({ status }) => status === 'delivered').map(({ id }) => id);
      const there = new Set(sequence);
      expect(delivered.filter((id) => there.has(id))).toEqual(sequence);
      // No message stands before one whose commit was answered before its own was sent.
      let latest = 0;
      for (const { id } of its) {
        const { sent, answered } = commits.get(id)!;
        expect(answered).toBeGreaterThanOrEqual(latest);
        latest = Math.max(latest, sent);
      }
    }
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
    const left = await database.db.executeSql('select from waybill.outbox_order_changes');
    expect(left.rows).toEqual([]);
  },
);
