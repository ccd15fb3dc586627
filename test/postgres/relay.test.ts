import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import type { NewMessage } from '../../src/outbox/message.ts';
import { createPostgresOutbox } from '../../src/outbox/postgres.ts';
import { verifyOutbox } from '../../src/outbox/verify.ts';
import { openQueue, type ParcelQueue } from '../../src/queue/boss.ts';
import { createPrune } from '../../src/relay/prune.ts';
import { createRelay } from '../../src/relay/relay.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { createBookmarks } from '../../src/worker/bookmarks.ts';
import { takeAndClaim } from '../../src/worker/claim.ts';
import { claimOnward } from '../../src/worker/onward.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let queue: ParcelQueue;
const metrics = createMetrics({ version: 'test' });
const events = createEvents(createLog({ level: 'silent', role: 'test' }), metrics);
const observe = (): void => undefined;

beforeAll(async () => {
  database = await testDatabase();
  queue = openQueue({ db: database.db, queueDb: database.db, backend: 'postgres', onError: () => undefined });
  await queue.install();
});
afterAll(async () => {
  await queue.close();
  await database.end();
});

const jobs = (n: number, over: Partial<NewMessage> = {}): NewMessage[] =>
  Array.from({ length: n }, () => ({ kind: 'job', name: 'noop', queue: 'jobs', payload: {}, ...over }));

const relayOf = (highWater: number, batch = 2_000): (() => Promise<number>) =>
  createRelay({ db: database.db, queue, events, observe, pollIntervalMs: 1_000, highWater, batch });

async function waiting(name = 'jobs'): Promise<number> {
  const sql = `select count(*)::int as n from waybill.outbox_messages where relayed_at is null and queue = $1`;
  return (await database.db.executeSql<{ n: number }>(sql, [name])).rows[0]!.n;
}

async function failOnce(ids: readonly string[]): Promise<void> {
  const outbox = createPostgresOutbox(database.db);
  const held = await outbox.claimBatch({ ids, limit: ids.length, leaseMs: 60_000, workerId: 'w' });
  for (const { id, claimToken } of held) await outbox.markFailed(id, claimToken, 'no luck');
}

const claims = {
  get db() {
    return database.db;
  },
  get queue() {
    return queue;
  },
  outboxOn: createPostgresOutbox,
  workerId: 'w',
  leaseMs: 1,
};

describe('relay', () => {
  it('keeps a queue at its high-water mark; the backlog waits in the outbox, and other queues are not held up', async () => {
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue([...jobs(300), ...jobs(5, { queue: 'other' })]);
    const relay = relayOf(100);
    for (let i = 0; i < 5; i++) await relay();
    expect(await queue.depth()).toEqual(
      new Map([
        ['jobs', 100],
        ['other', 5],
      ]),
    );
    expect(await waiting()).toBe(200);
    await takeAndClaim('jobs', false, { parcels: 100, free: 60 }, { ...claims, leaseMs: 60_000 });
    for (let i = 0; i < 3; i++) await relay();
    expect((await queue.depth()).get('jobs')).toBe(100);
    expect(await waiting()).toBe(140);
  });

  it('several relays at once put each message into one parcel', async () => {
    await createPostgresOutbox(database.db).enqueue(jobs(1_000, { queue: 'many' }));
    await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const relay = relayOf(100_000, 90);
        while ((await waiting('many')) > 0) await relay();
      }),
    );
    expect((await queue.depth()).get('many')).toBe(1_000);
    expect(await queue.waiting(['many'])).toHaveProperty('size', 1_000);
  });

  it('B, I: where much waits, parcels are open: workers claim what is next, each message once, and each is relayed by its claim', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue(jobs(3_500, { queue: 'bulk' }));
    const relay = relayOf(2_000, 1_000);
    await relay(); // by name: it sees how much there is
    await relay();
    expect(await queue.promised()).toEqual([{ queue: 'bulk', priority: 0, messages: 2_000 }]);
    await relay();
    expect(await queue.promised()).toEqual([{ queue: 'bulk', priority: 0, messages: 2_000 }]);
    expect(await waiting('bulk')).toBe(2_500);
    const seen: string[] = [];
    let relayed = 0;
    const worker = async (): Promise<void> => {
      for (let more = true; more;) {
        const want = { parcels: 3, free: 170 };
        const taken = await takeAndClaim('bulk', false, want, { ...claims, leaseMs: 60_000 });
        expect(taken.messages.length).toBeLessThanOrEqual(170);
        seen.push(...taken.messages.map((message) => message.id));
        relayed += taken.lags.length;
        more = taken.more || taken.messages.length > 0;
        await relay();
      }
    };
    while (seen.length < 3_500) await Promise.all([worker(), worker(), worker()]);
    expect(new Set(seen)).toHaveProperty('size', 3_500);
    expect(relayed).toBe(2_500);
    await relay();
    expect(await queue.promised()).toEqual([]);
    expect(await waiting('bulk')).toBe(0);
  });

  it('F: in an open parcel, what has an attempt behind it is handed on in a parcel of its own', async () => {
    const { db } = database;
    const all = await createPostgresOutbox(db).enqueue(jobs(30, { queue: 'mixed' }));
    const tried = all.slice(10, 13).map(({ id }) => id);
    await failOnce(tried);
    const open = { queue: 'mixed', priority: 0, ids: [], any: 40 };
    await db.transaction((tx) => queue.send(tx, [open]));
    const first = { ...claims, leaseMs: 60_000 };
    const taken = await takeAndClaim('mixed', false, { parcels: 1, free: 35 }, first);
    expect(taken.messages.map(({ id }) => id).toSorted()).toEqual(
      all.flatMap(({ id }) => (tried.includes(id) ? [] : [id])).toSorted(),
    );
    expect(await queue.waiting(['mixed'])).toEqual(new Set(tried));
    expect(await queue.promised()).toEqual([]); // the lane is at its end
    const parcels = await db.transaction((tx) => queue.take(tx, 'mixed', false, 10));
    expect(parcels.map(({ ids }) => ids.length)).toEqual([1, 1, 1]);
  });

  it('A, F: claims that go on without a parcel take each message once, none with an attempt behind it, and none of a closed queue', async () => {
    const { db } = database;
    const all = await createPostgresOutbox(db).enqueue(jobs(2_000, { queue: 'going' }));
    const tried = all.slice(700, 703).map(({ id }) => id);
    await failOnce(tried);
    const open = { queue: 'going', priority: 0, ids: [], any: 100 };
    await db.transaction((tx) => queue.send(tx, [open, open]));
    const seen: string[] = [];
    const worker = async (): Promise<void> => {
      const its = { ...claims, leaseMs: 60_000, bookmarks: createBookmarks({ now: () => 0 }) };
      const free = 100;
      seen.push(
        ...(await takeAndClaim('going', false, { parcels: 1, free }, its)).messages.map(({ id }) => id),
      );
      for (let lane = its.bookmarks.going('going'); lane; lane = its.bookmarks.going('going')) {
        const { messages, lags } = await claimOnward(lane, free, its);
        expect(lags).toHaveLength(messages.length);
        seen.push(...messages.map(({ id }) => id));
        if (seen.length > 1_000)
          await db.executeSql(
            `insert into waybill.queues (name, paused_at) values ('going', now()) on conflict do nothing`,
          );
      }
    };
    await Promise.all([worker(), worker()]);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => tried.includes(id))).toEqual([]);
    expect(seen.length).toBeLessThan(1_500);
    expect(await waiting('going')).toBe(2_000 - seen.length);
  });

  it('an open parcel of a queue whose jobs have a limit is named first, so that no more start than may', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue([
      ...jobs(20, { queue: 'narrow', name: 'one' }),
      ...jobs(5, { queue: 'narrow' }),
    ]);
    await db.transaction((tx) => queue.send(tx, [{ queue: 'narrow', priority: 0, ids: [], any: 25 }]));
    const want = { parcels: 1, free: 10, room: new Map([['one', 2]]) };
    const taken = await takeAndClaim('narrow', false, want, { ...claims, leaseMs: 60_000 });
    expect(taken.messages.map(({ name }) => name).toSorted()).toEqual([
      ...Array(5).fill('noop'),
      'one',
      'one',
    ]);
    expect(taken.heldBack).toBe(18);
    expect((await queue.depth()).get('narrow')).toBe(18);
  });

  it('a paused queue: an open parcel claims nothing, and is made again when it is resumed', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue(jobs(1_100, { queue: 'paused' }));
    const relay = relayOf(100_000, 1_000);
    await relay();
    await relay();
    await db.executeSql(`insert into waybill.queues (name, paused_at) values ('paused', now())`);
    await db.transaction((tx) => queue.send(tx, [{ queue: 'paused', priority: 0, ids: [], any: 100 }]));
    for (let more = true; more;)
      more = (await takeAndClaim('paused', false, { parcels: 50, free: 500 }, { ...claims, leaseMs: 60_000 }))
        .more;
    const sending = `select from waybill.outbox_messages where queue = 'paused' and status = 'sending'`;
    expect((await db.executeSql(sending)).rows).toEqual([]);
    await db.executeSql(`delete from waybill.queues where name = 'paused'`);
    for (let i = 0; i < 3; i++) await relay();
    const named = (await queue.depth()).get('paused') ?? 0;
    const promised = (await queue.promised()).find((lane) => lane.queue === 'paused')?.messages ?? 0;
    expect(named + promised + (await waiting('paused'))).toBeGreaterThanOrEqual(1_100);
  });

  it('what is due later stays, and costs no parcel', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000);
    await createPostgresOutbox(database.db).enqueue(jobs(3, { queue: 'later', availableAt: tomorrow }));
    await relayOf(100_000)();
    expect((await queue.depth()).get('later')).toBeUndefined();
  });

  it('F: after its lease ran out twice a message is relayed for a worker of its own', async () => {
    await createPostgresOutbox(database.db).enqueue(jobs(4, { queue: 'poison' }));
    await database.db.executeSql(`update waybill.outbox_messages set expirations = 1 where queue = 'poison'`);
    await relayOf(100_000)();
    const taken = await takeAndClaim('poison', false, { parcels: 10, free: 10 }, claims);
    expect(taken.messages).toHaveLength(4);
    const sweep = createSweep({
      db: database.db,
      queue,
      events,
      observe,
      intervalMs: 1_000,
      nudge: () => undefined,
    });
    await sweep();
    await relayOf(100_000)();
    expect((await queue.ready(['poison'])).map((source) => source.alone)).toEqual([true]);
    const alone = await takeAndClaim('poison', true, { parcels: 1, free: 1 }, { ...claims, leaseMs: 60_000 });
    expect(alone.messages.map((message) => message.attempt)).toEqual([2]);
  });

  it('prunes what is settled and past its retention, keeps its keys, and the books still balance', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const [message] = await outbox.enqueue(jobs(1, { queue: 'pruned', deliveryKey: 'kept' }));
    const [claim] = await outbox.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', queues: ['pruned'] });
    await outbox.markDelivered(claim!.id, claim!.claimToken);
    const retention = { deliveredMs: 60_000, deadMs: 60_000, keyMs: 1e9 };
    const prune = createPrune({ db, events, observe, retention });
    await prune();
    const there = async (): Promise<number> =>
      (await db.executeSql('select from waybill.outbox_messages where id = $1', [message!.id])).rows.length;
    expect(await there()).toBe(1);
    await db.executeSql(
      `update waybill.outbox_messages set delivered_at = now() - interval '2 minutes' where id = $1`,
      [message!.id],
    );
    const young = await createPrune({ db, events, observe, retention: { ...retention, deliveredMs: 0 } })();
    expect(young).toBeGreaterThan(0);
    expect(await there()).toBe(0);
    expect((await outbox.enqueue(jobs(1, { queue: 'pruned', deliveryKey: 'kept' })))[0]).toEqual({
      id: message!.id,
      status: 'delivered',
      duplicate: true,
    });
    expect((await verifyOutbox(db)).findings).toEqual([]);
  });

  it('verify tells of a row that somebody deleted', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue(jobs(1, { queue: 'deleted' }));
    await db.executeSql(`delete from waybill.outbox_messages where queue = 'deleted'`);
    expect((await verifyOutbox(db)).findings).toMatchObject([{ code: 'messages_missing', count: 1 }]);
  });
});
