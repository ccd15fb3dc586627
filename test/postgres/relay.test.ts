import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { claimWaiting } from '../../src/outbox/claim.ts';
import { findDue } from '../../src/outbox/waiting.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { openQueue, type WakeUpQueue } from '../../src/queue/boss.ts';
import { createPrune, createWalk } from '../../src/relay/prune.ts';
import { createRelay } from '../../src/relay/relay.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

// Real: Postgres and pg-boss. The relay's steps are called by the tests, not by loops.

let database: TestDatabase;
let queue: WakeUpQueue;
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

const relayOf = (highWater = 1_000): (() => Promise<number>) =>
  createRelay({
    db: database.db,
    queue,
    events,
    observe,
    clock: performance,
    pollIntervalMs: 1_000,
    highWater,
  });

const sweepOf = (): (() => Promise<number>) =>
  createSweep({ db: database.db, events, observe, intervalMs: 1_000, wakeRelay: () => undefined });

const lease = { leaseMs: 60_000, workerId: 'w' };

async function rows<T>(sql: string, values: unknown[] = []): Promise<T[]> {
  return (await database.db.executeSql<T>(sql, values)).rows;
}

/** Messages that the wake-ups of a queue stand for, by priority. */
async function announced(name: string): Promise<Record<number, number>> {
  const its = (await queue.announced()).filter((one) => one.queue === name);
  return Object.fromEntries(its.map(({ priority, messages }) => [priority, messages]));
}

async function wakeUps(name: string): Promise<number> {
  return (await rows('select from pgboss.job where name = $1', [name])).length;
}

describe('relay', () => {
  it('announces each queue at each priority up to its high-water mark, in a few wake-ups, and touches no message', async () => {
    const outbox = createPostgresOutbox(database.db);
    await outbox.enqueue([...jobs(300), ...jobs(7, { priority: 5 }), ...jobs(3, { queue: 'other' })]);
    const before = await rows(
      'select id, revision, relayed_at, status from waybill.outbox_messages order by id',
    );
    const relay = relayOf(100);
    for (let i = 0; i < 5; i++) await relay();
    expect(await announced('jobs')).toEqual({ 0: 100, 5: 7 });
    expect(await announced('other')).toEqual({ 0: 3 });
    expect(await wakeUps('jobs')).toBe(8 + 7);
    expect(
      await rows('select id, revision, relayed_at, status from waybill.outbox_messages order by id'),
    ).toEqual(before);
  });

  it('several relays at once announce each message once', async () => {
    await createPostgresOutbox(database.db).enqueue([
      ...jobs(500, { queue: 'many' }),
      ...jobs(500, { queue: 'more' }),
    ]);
    const relays = [1, 2, 3, 4].map(() => relayOf());
    for (let i = 0; i < 3; i++) await Promise.all(relays.map((relay) => relay()));
    expect([await announced('many'), await announced('more')]).toEqual([{ 0: 500 }, { 0: 500 }]);
    expect(await wakeUps('many')).toBe(8);
    await database.db.executeSql(`delete from pgboss.job where name = 'many'`);
    await database.db.transaction(async (tx) => {
      await tx.executeSql(`select from waybill.queues where name = 'many' for update`); // as another relay does
      await relays[0]!();
      expect(await announced('many')).toEqual({});
    });
    await relays[0]!();
    expect(await announced('many')).toEqual({ 0: 500 });
  });

  it('announces again what is due when its wake-ups were taken, lost, or pg-boss’s schema was dropped', async () => {
    await createPostgresOutbox(database.db).enqueue(jobs(40, { queue: 'again' }));
    const relay = relayOf();
    await relay();
    const taken = await queue.take('again', 100);
    expect(taken.reduce((sum, { messages }) => sum + messages, 0)).toBe(40);
    expect(await announced('again')).toEqual({});
    await relay();
    expect(await announced('again')).toEqual({ 0: 40 });
    await database.db.executeSql(`delete from pgboss.job where name = 'again'`);
    await relay();
    expect(await announced('again')).toEqual({ 0: 40 });
    await database.db.executeSql('drop schema pgboss cascade');
    await expect(relay()).rejects.toThrow(/made anew/);
    await relay();
    expect(await announced('again')).toEqual({ 0: 40 });
  });

  it('announces nothing for a few messages that a worker has taken meanwhile, nor twice what still stands', async () => {
    await createPostgresOutbox(database.db).enqueue(jobs(40, { queue: 'few' }));
    const relay = relayOf();
    await relay();
    const claimed = await claimWaiting(database.db, { ...lease, queue: 'few', priority: 0, limit: 30 });
    expect(claimed).toHaveLength(30);
    await relay();
    expect(await announced('few')).toEqual({ 0: 40 });
    await claimWaiting(database.db, { ...lease, queue: 'few', priority: 0, limit: 30 });
    await queue.take('few', 100);
    await relay();
    expect(await announced('few')).toEqual({});
  });

  it('tells workers again of wake-ups that nobody takes', async () => {
    await createPostgresOutbox(database.db).enqueue(jobs(3, { queue: 'standing' }));
    const relay = relayOf();
    await relay();
    const heard: string[] = [];
    const client = await database.db.connect();
    client.on('notification', ({ payload = '' }) => heard.push(payload));
    await client.query('listen waybill_wake_up');
    await relay();
    await client.query('select 1');
    expect(heard).toContain('standing');
    await client.end();
  });

  it('leaves closed queues alone, and what is due later', async () => {
    const tomorrow = new Date(Date.now() + 86_400_000);
    await createPostgresOutbox(database.db).enqueue([
      ...jobs(3, { queue: 'closed' }),
      ...jobs(3, { queue: 'later', availableAt: tomorrow }),
    ]);
    await database.db.executeSql(`insert into waybill.queues (name, paused_at) values ('closed', now())`);
    await relayOf()();
    expect([await announced('closed'), await announced('later')]).toEqual([{}, {}]);
    await database.db.executeSql(`update waybill.queues set paused_at = null where name = 'closed'`);
    await relayOf()();
    expect(await announced('closed')).toEqual({ 0: 3 });
  });

  it.each<[string, unknown]>([
    ['of an older shape', { ids: ['00000000-0000-4000-8000-000000000000'] }],
    ['of another older shape', { any: 5 }],
    ['with a negative count', { messages: -3 }],
    ['with a text for a count', { messages: '3; drop table' }],
    ['with a huge count', { messages: 1e300 }],
    ['without anything', null],
    ['that is a list', [1, 2, 3]],
  ])('a wake-up %s is removed and means nothing', async (_, data) => {
    await queue.ensure(['odd']);
    await database.db.executeSql(
      `insert into pgboss.job (name, data, priority) values ('odd', $1::jsonb, 0)`,
      [JSON.stringify(data)],
    );
    await createPostgresOutbox(database.db).enqueue(jobs(2, { queue: 'odd' }));
    expect((await announced('odd'))[0] ?? 0).toBe(0);
    await relayOf()();
    const taken = await queue.take('odd', 100);
    expect(taken.reduce((sum, { messages }) => sum + messages, 0)).toBe(2);
    expect(await wakeUps('odd')).toBe(0);
    await claimWaiting(database.db, { ...lease, queue: 'odd', priority: 0, limit: 30 });
  });
});

describe('claims', () => {
  it('A: several workers take each message once, what failed before like everything else, and none of a closed queue', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const all = await outbox.enqueue(jobs(2_000, { queue: 'going' }));
    const held = await outbox.claimBatch({ limit: 3, ...lease, queues: ['going'] });
    for (const { id, claimToken } of held) await outbox.markFailed(id, claimToken, 'no luck');
    const seen: string[] = [];
    const worker = async (): Promise<void> => {
      for (let got = 1, from: number | undefined; got > 0;) {
        const claimed = await claimWaiting(db, {
          ...lease,
          queue: 'going',
          priority: 0,
          limit: 100,
          begins: 50,
          from,
        });
        got = claimed.length;
        from = claimed.length === 100 ? Math.max(...claimed.map(({ due }) => due)) : undefined;
        seen.push(...claimed.map(({ message }) => message.id));
        if (seen.length > 1_000)
          await db.executeSql(
            `insert into waybill.queues (name, paused_at) values ('going', now()) on conflict do nothing`,
          );
      }
    };
    await Promise.all([worker(), worker()]);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeLessThan(1_500);
    await db.executeSql(`delete from waybill.queues where name = 'going'`);
    for (
      let left = await claimWaiting(db, { ...lease, queue: 'going', priority: 0, limit: 500 });
      left.length > 0;
    ) {
      seen.push(...left.map(({ message }) => message.id));
      left = await claimWaiting(db, { ...lease, queue: 'going', priority: 0, limit: 500 });
    }
    expect(new Set(seen)).toEqual(new Set(all.map(({ id }) => id)));
  });

  it('F: after its lease expired twice a message is claimed by none but a worker that runs nothing else', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    await outbox.enqueue(jobs(4, { queue: 'poison' }));
    const lapse = async (): Promise<void> => {
      await outbox.claimBatch({ limit: 10, ...lease, queues: ['poison'], suspects: false });
      await db.executeSql(
        `update waybill.outbox_messages set claimed_until = now() - interval '1 second', revision = revision + 1
          where queue = 'poison' and status = 'sending'`,
      );
      await sweepOf()();
    };
    await lapse();
    const due = async () => (await findDue(db, ['poison'])).places.map(({ suspects }) => suspects);
    expect(await due()).toEqual([false]);
    await lapse();
    expect(await due()).toEqual([true]);
    expect(await claimWaiting(db, { ...lease, queue: 'poison', priority: 0, limit: 10 })).toEqual([]);
    const alone = await outbox.claimBatch({ limit: 1, ...lease, queues: ['poison'], suspects: true });
    expect(alone.map((message) => message.attempt)).toEqual([3]);
  });

  it('prunes what is settled and past its retention, keeps its keys, and the audit counters still agree', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const others = await outbox.enqueue([...jobs(1, { queue: 'waits' }), ...jobs(1, { queue: 'works' })]);
    const [message] = await outbox.enqueue(jobs(1, { queue: 'pruned', deliveryKey: 'kept' }));
    const [claim] = await outbox.claimBatch({ ...lease, limit: 1, queues: ['pruned'] });
    await outbox.claimBatch({ ...lease, limit: 1, queues: ['works'] });
    await outbox.markDelivered(claim!.id, claim!.claimToken);
    const retention = { deliveredMs: 60_000, deadMs: 60_000, keyMs: 1e9 };
    const prune = createPrune({ db, events, observe, retention, auditRetentionMs: 1e9 });
    await db.executeSql(
      `insert into waybill.processes (id, role, host, pid, version, heartbeat_at)
       select n, 'jobs', 'h', n, '1', now() - n * interval '40 minutes' from generate_series(0, 3) n`,
    );
    await db.executeSql(
      `insert into waybill.outbox_begun (worker, part, ids, at)
       select n, 'p', '{}', now() - n * interval '13 hours' from generate_series(0, 3) n`,
    );
    await prune();
    const silent = `select array(select id from waybill.processes order by id) as processes, array(select worker from waybill.outbox_begun order by 1) as begun`;
    expect((await db.executeSql(silent)).rows).toEqual([{ processes: ['0', '1'], begun: ['0', '1'] }]);
    const there = async (id = message!.id): Promise<number> =>
      (await db.executeSql('select from waybill.outbox_messages where id = $1', [id])).rows.length;
    expect(await there()).toBe(1);
    await db.executeSql(
      `update waybill.outbox_messages set delivered_at = now() - interval '2 minutes' where id = $1`,
      [message!.id],
    );
    const young = await createPrune({
      db,
      events,
      observe,
      retention: { ...retention, deliveredMs: 0 },
      auditRetentionMs: 1e9,
    })();
    expect(young).toBeGreaterThan(0);
    expect(await there()).toBe(0);
    for (const { id } of others) expect(await there(id)).toBe(1);
    const kept = { id: message!.id, status: 'delivered', duplicate: true };
    const again = jobs(1, { queue: 'pruned', deliveryKey: 'kept' });
    expect(await outbox.enqueue(again)).toEqual([kept]);
    const other = jobs(1, { queue: 'pruned', deliveryKey: 'another' });
    expect(await outbox.enqueue([...again, ...other])).toMatchObject([kept, { duplicate: false }]);
    expect((await verifyOutbox(db)).findings).toEqual([]);
  });

  it('I: prunes from where the last batch ended, and comes back for what was delivered late', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const ids = (await outbox.enqueue(jobs(5, { queue: 'walked' }))).map(({ id }) => id);
    const age = (some: readonly string[]) =>
      db.executeSql(
        `update waybill.outbox_messages set status = 'delivered', relayed_at = now(), delivered_at = now() - interval '1 hour', revision = revision + 1
          where id = any($1)`,
        [some],
      );
    const left = async (): Promise<string[]> => {
      const sql = `select id::text as id from waybill.outbox_messages where queue = 'walked' order by id`;
      return (await db.executeSql<{ id: string }>(sql)).rows.map(({ id }) => id);
    };
    const walk = createWalk();
    const retention = { deliveredMs: -60_000, deadMs: 1e9, keyMs: 1e9 };
    const prune = async (): Promise<void> => {
      while ((await walk.prune(db, retention, 2)).isFull);
    };
    await age(ids.slice(1, 4)); // the first and the last still wait
    await prune();
    expect(await left()).toEqual([ids[0], ids[4]]);
    await age(ids.slice(0, 1));
    await prune();
    expect(await left()).toContain(ids[0]); // it is behind
    for (let i = 0; i < 60; i++) await prune();
    expect(await left()).toEqual([ids[4]]);
    await outbox.cancel(ids[4]!);
    await db.executeSql(
      `update waybill.outbox_messages set cancelled_at = now() - interval '30 days', revision = revision + 1 where id = $1`,
      [ids[4]],
    );
    await walk.prune(db, { deliveredMs: -60_000, deadMs: -60_000, keyMs: 1e9 }, 2);
    expect(await left()).toEqual([]);
  });

  it('I: passes rows that stay, a stretch at a time, and reads none of them twice', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const ids = (await outbox.enqueue(jobs(25, { queue: 'stays' }))).map(({ id }) => id);
    const last = ids.toSorted().at(-1)!;
    await db.executeSql(
      `update waybill.outbox_messages set status = 'delivered', relayed_at = now(), delivered_at = now() - interval '1 hour', revision = revision + 1
        where id = $1`,
      [last],
    );
    const walk = createWalk();
    const begins = [ids.toSorted()[0]!];
    let batch;
    do {
      batch = await walk.prune(db, { deliveredMs: -60_000, deadMs: 1e9, keyMs: 1e9 }, 2);
      begins.push(batch.next);
    } while (batch.isFull);
    expect(begins.slice(1)).toEqual([...new Set(begins.slice(1))].toSorted());
    expect(begins.at(-1)).toBe(last);
    const left = `select from waybill.outbox_messages where queue = 'stays'`;
    expect((await db.executeSql(left)).rows).toHaveLength(24);
  });

  it('prunes cancelled messages by their own retention, however long delivered ones are kept', async () => {
    const { db } = database;
    const outbox = createPostgresOutbox(db);
    const ids = (await outbox.enqueue(jobs(3, { queue: 'cancelled' }))).map(({ id }) => id);
    for (const id of ids) await outbox.cancel(id);
    await db.executeSql(
      `update waybill.outbox_messages set cancelled_at = now() - interval '2 days', revision = revision + 1 where id = any($1)`,
      [ids.slice(1)],
    );
    const retention = { deliveredMs: 90 * 86_400_000, deadMs: 86_400_000, keyMs: 1e9 };
    const { pruned, isFull } = await createWalk().prune(db, retention, 100);
    expect([pruned, isFull]).toEqual([[{ status: 'cancelled', n: 2 }], false]);
    expect((await verifyOutbox(db)).findings).toEqual([]);
  });

  it('verify tells of a row that somebody deleted', async () => {
    const { db } = database;
    await createPostgresOutbox(db).enqueue(jobs(1, { queue: 'deleted' }));
    await db.executeSql(`delete from waybill.outbox_messages where queue = 'deleted'`);
    expect((await verifyOutbox(db)).findings).toMatchObject([{ code: 'messages_missing', count: 1 }]);
  });
});
