// Order keys on Postgres (invariant K): what commits, rollbacks, other transactions and people do to a key. Real: Postgres.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Transaction } from '../../src/db/transaction.ts';
import type { ClaimedMessage, NewMessage } from '../../src/message/message.ts';
import { newId } from '../../src/message/id.ts';
import { cancelMessage, retryMessage } from '../../src/operate/operate.ts';
import { retryMany } from '../../src/operate/retry-many.ts';
import { listBlockedKeys, unblockKey } from '../../src/operate/order.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createLog } from '../../src/metrics/log.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { pruneBatch } from '../../src/relay/prune.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => void (database = await testDatabase()));
afterAll(async () => {
  expect((await verifyOutbox(database.db)).findings).toEqual([]);
  await database.end();
});

const outbox = () => createPostgresOutbox(database.db);
const message = (queue: string, over: Partial<NewMessage> = {}): NewMessage => ({
  kind: 'job',
  name: 'n',
  queue,
  payload: {},
  orderKey: 'k',
  ...over,
});
const record = async (queue: string, over: Partial<NewMessage> = {}): Promise<string> =>
  (await outbox().enqueue(message(queue, over))).id;
const claim = (queue: string): Promise<ClaimedMessage[]> =>
  outbox().claimBatch({ limit: 10, leaseMs: 60_000, workerId: 'w', queues: [queue] });
async function claimOnly(queue: string, id: string): Promise<ClaimedMessage> {
  const claimed = await claim(queue);
  expect(claimed.map((one) => one.id)).toEqual([id]);
  return claimed[0]!;
}
const deliver = async ({ id, claimToken }: ClaimedMessage): Promise<void> =>
  expect(await outbox().markDelivered(id, claimToken)).toBe(true);
const kill = async ({ id, claimToken }: ClaimedMessage): Promise<void> =>
  expect(await outbox().markFailed(id, claimToken, 'no', { permanent: true })).toBe(true);
const changes = async (): Promise<number> =>
  (await database.db.executeSql('select from waybill.outbox_order_changes')).rows.length;

/** A step of the relay's sweep. @returns how often it woke the relay */
async function sweep(): Promise<number> {
  let woken = 0;
  const events = createEvents(
    createLog({ level: 'silent', role: 'test' }),
    createMetrics({ version: 'test' }),
  );
  const wakeRelay = (): void => void woken++;
  await createSweep({ db: database.db, events, observe: () => undefined, intervalMs: 1_000, wakeRelay })();
  return woken;
}

/** A transaction that has done its work and waits to be ended. */
async function open(work: (tx: Transaction) => Promise<unknown>, begin?: string) {
  const done = Promise.withResolvers<void>();
  const end = Promise.withResolvers<'commit' | 'rollback'>();
  const ended = database.db
    .transaction(async (tx) => {
      await work(tx);
      done.resolve();
      if ((await end.promise) === 'rollback') throw new Error('rolled back');
    }, begin)
    .catch((error: unknown) => {
      done.reject(error);
      if ((error as Error).message !== 'rolled back') throw error;
    });
  await done.promise;
  return async (how: 'commit' | 'rollback' = 'commit') => {
    end.resolve(how);
    await ended;
  };
}
const recordIn = (tx: Transaction, queue: string, over?: Partial<NewMessage>): Promise<unknown> =>
  createPostgresOutbox(tx).enqueue(message(queue, over));

describe('transactions that record', () => {
  it('K: the one that commits first goes first, whichever recorded first', async () => {
    const open1 = await open((tx) => recordIn(tx, 'commits', { payload: 'recorded first' }));
    const open2 = await open((tx) => recordIn(tx, 'commits', { payload: 'committed first' }));
    const open3 = await open((tx) => recordIn(tx, 'commits', { payload: 'committed second' }));
    expect(await claim('commits')).toEqual([]);
    for (const commit of [open2, open3, open1]) await commit();
    for (const payload of ['committed first', 'committed second', 'recorded first']) {
      const [next] = await claim('commits');
      expect(next!.payload).toBe(payload);
      await deliver(next!);
    }
  });

  it('A: what was rolled back, or back to a savepoint, has no place', async () => {
    const rollback = await open((tx) => recordIn(tx, 'undone', { payload: 1 }));
    await rollback('rollback');
    const commit = await open(async (tx) => {
      await recordIn(tx, 'undone', { payload: 2 });
      await tx.executeSql('savepoint s');
      await recordIn(tx, 'undone', { payload: 3 });
      await recordIn(tx, 'undone', { payload: 4, orderKey: 'other' });
      await tx.executeSql('rollback to savepoint s');
      await recordIn(tx, 'undone', { payload: 5 });
    });
    await commit();
    for (const payload of [2, 5]) {
      const [next, ...more] = await claim('undone');
      expect([next!.payload, more]).toEqual([payload, []]);
      await deliver(next!);
    }
    expect(await claim('undone')).toEqual([]);
  });

  it('K: have their places also where constraints are checked at once', async () => {
    const commit = await open(async (tx) => {
      await tx.executeSql('set constraints all immediate');
      await recordIn(tx, 'at-once', { payload: 1 });
      await recordIn(tx, 'at-once', { payload: 2 });
      await recordIn(tx, 'at-once', { payload: 3, orderKey: 'other' });
    });
    await commit();
    const claimed = await claim('at-once');
    expect(claimed.map(({ payload }) => payload)).toEqual([1, 3]);
    await deliver(claimed[0]!);
    expect((await claim('at-once')).map(({ payload }) => payload)).toEqual([2]);
    expect(await changes()).toBe(0);
  });

  it('K: have their places also after all settings were reset', async () => {
    const commit = await open(async (tx) => {
      await recordIn(tx, 'reset', { payload: 1 });
      await tx.executeSql('reset all');
      await recordIn(tx, 'reset', { payload: 2, orderKey: 'other' });
      await recordIn(tx, 'reset', { payload: 3 });
    });
    await commit();
    expect(new Set((await claim('reset')).map(({ payload }) => payload))).toEqual(new Set([1, 2]));
    expect(await changes()).toBe(0);
  });

  it('do not wait for one another before their commits, nor deadlock in them', async () => {
    const keys = ['a', 'b', 'c', 'd'];
    const recordAll = (order: readonly string[]) => (tx: Transaction) =>
      recordMany(
        tx,
        order.map((orderKey) => message('crosswise', { orderKey })),
      );
    const recordMany = (tx: Transaction, all: readonly NewMessage[]) => createPostgresOutbox(tx).enqueue(all);
    for (let round = 0; round < 20; round++) {
      const commits = await Promise.all([
        open(recordAll(keys)),
        open(recordAll(keys.toReversed())),
        open(recordAll([...keys.slice(2), ...keys.slice(0, 2)])),
      ]);
      await Promise.all(commits.map((commit) => commit()));
    }
    expect(await changes()).toBe(0);
    const { rows } = await database.db.executeSql<{ key: string; n: number; free: number; places: number }>(
      `select order_key as key, count(*)::int as n, count(*) filter (where isfinite(available_at))::int as free,
              count(distinct order_position)::int as places
         from waybill.outbox_messages where queue = 'crosswise' group by 1 order by 1`,
    );
    expect(rows).toEqual(keys.map((key) => ({ key, n: 60, free: 1, places: 60 })));
  });

  it('a message is out of every claim until the commit, also for its own transaction', async () => {
    const commit = await open(async (tx) => {
      const port = createPostgresOutbox(tx);
      await port.enqueue(message('own'));
      expect(await port.claimBatch({ limit: 5, leaseMs: 1_000, workerId: 'w', queues: ['own'] })).toEqual([]);
    });
    await commit();
    expect(await claim('own')).toHaveLength(1);
  });

  it('a large transaction records many keys and many messages of one', async () => {
    const many = Array.from({ length: 3_000 }, (_, i) =>
      message('large', { payload: i, orderKey: i % 2 === 0 ? `key-${i}` : 'same' }),
    );
    const commit = await open((tx) => createPostgresOutbox(tx).enqueue(many));
    await commit();
    const { rows } = await database.db.executeSql<{ free: number; first: number }>(
      `select count(*) filter (where isfinite(available_at))::int as free,
              (select payload from waybill.outbox_messages
                where queue = 'large' and order_key = 'same' order by order_position limit 1)::int as first
         from waybill.outbox_messages where queue = 'large'`,
    );
    expect(rows).toEqual([{ free: 1_501, first: 1 }]);
  });

  it('waybill.enqueue takes an order key and what its death means', async () => {
    const enqueue = `select waybill.enqueue('job', 'n', '{}', queue => 'sql', order_key => 'k', on_dead => 'skip')::text as id`;
    const commit = await open((tx) => tx.executeSql(`${enqueue} from generate_series(1, 2)`));
    await commit();
    const [first] = await claim('sql');
    await kill(first!);
    const [second, ...more] = await claim('sql');
    expect([second === undefined, second?.id === first!.id, more]).toEqual([false, false, []]);
    await expect(database.db.executeSql(enqueue.replace("'skip'", "'wait'"))).rejects.toMatchObject({
      detail: 'on_dead_invalid',
    });
  });
});

describe('a settlement', () => {
  it('does not wait for a transaction that has recorded the next one, and its commit makes it available', async () => {
    const first = await record('race');
    const commit = await open((tx) => recordIn(tx, 'race'));
    await deliver(await claimOnly('race', first));
    expect(await claim('race')).toEqual([]);
    await commit();
    expect(await claim('race')).toHaveLength(1);
  });

  it('makes the next one available although its transaction rolls back what comes after', async () => {
    const [first, second] = [await record('race-2'), await record('race-2')];
    const rollback = await open((tx) => recordIn(tx, 'race-2'));
    await deliver(await claimOnly('race-2', first));
    await deliver(await claimOnly('race-2', second));
    await rollback('rollback');
    expect([await claim('race-2'), await changes()]).toEqual([[], 0]);
  });

  it('does not wait for a transaction that cancels the next one', async () => {
    const [first, second, third] = [
      await record('cancels'),
      await record('cancels'),
      await record('cancels'),
    ];
    const commit = await open((tx) => createPostgresOutbox(tx).cancel(second));
    await deliver(await claimOnly('cancels', first));
    expect(await claim('cancels')).toEqual([]);
    await commit();
    await claimOnly('cancels', third);
    await outbox().expire(10); // the sweep finds nothing left to do
    expect(await changes()).toBe(0);
  });

  it('when that cancelling is rolled back, the sweep makes the next one available', async () => {
    const [first, second] = [await record('keeps'), await record('keeps')];
    const rollback = await open((tx) => createPostgresOutbox(tx).cancel(second));
    await deliver(await claimOnly('keeps', first));
    await outbox().expire(10);
    expect(await claim('keeps')).toEqual([]);
    await rollback('rollback');
    const woken = await sweep();
    expect(woken).toBe(1);
    await claimOnly('keeps', second);
    expect(await changes()).toBe(0);
  });

  it('does not wait for a transaction that replaces the next one', async () => {
    const first = await record('replaces');
    const next = message('replaces', { deliveryKey: newId(), onDuplicate: 'replace' });
    const second = await outbox().enqueue(next);
    const commit = await open((tx) => createPostgresOutbox(tx).enqueue({ ...next, payload: 'newer' }));
    await deliver(await claimOnly('replaces', first));
    expect(await claim('replaces')).toEqual([]);
    await commit();
    expect((await claimOnly('replaces', second.id)).payload).toBe('newer');
    await outbox().expire(10);
    expect(await changes()).toBe(0);
  });

  it('in a handler’s transaction takes effect with its commit', async () => {
    const [first, second] = [await record('handler'), await record('handler')];
    const { id, claimToken } = await claimOnly('handler', first);
    const commit = await open((tx) => createPostgresOutbox(tx).markDelivered(id, claimToken));
    await record('handler'); // its commit waits for nobody
    expect(await claim('handler')).toEqual([]);
    await commit();
    await claimOnly('handler', second);
  });
});

describe.each(['repeatable read', 'serializable'])('a transaction at the level %s', (level) => {
  const recordLate = (queue: string) =>
    open(async (tx) => {
      await tx.executeSql('select from waybill.outbox_messages limit 1'); // takes its snapshot
      await recordIn(tx, queue, { payload: 'late' });
    }, `begin isolation level ${level}`);

  it('K: does not see that its key was taken meanwhile, and takes no place beside', async () => {
    const queue = `${level.slice(0, 3)}-taken`;
    const commit = await recordLate(queue);
    const held = await claimOnly(queue, await record(queue));
    await commit();
    await outbox().expire(10);
    expect(await claim(queue)).toEqual([]);
    await deliver(held);
    expect((await claim(queue))[0]!.payload).toBe('late');
    expect(await changes()).toBe(0);
  });

  it('does not see that its key was left meanwhile, and the sweep makes its message available', async () => {
    const queue = `${level.slice(0, 3)}-left`;
    const first = await record(queue);
    const commit = await recordLate(queue);
    await deliver(await claimOnly(queue, first));
    await commit();
    await outbox().expire(10);
    expect((await claim(queue))[0]!.payload).toBe('late');
    expect(await changes()).toBe(0);
  });
});

describe('rows deleted or ended by hand', () => {
  it('let the next one of their key go on', async () => {
    const [first, second, third] = [await record('hands'), await record('hands'), await record('hands')];
    await database.db.executeSql('delete from waybill.outbox_messages where id = $1', [first]);
    await claimOnly('hands', second);
    await database.db.executeSql(
      `update waybill.outbox_messages set status = 'cancelled', cancelled_at = now(), claim_token = null, claimed_by = null,
              claimed_at = null, claimed_until = null where id = $1`,
      [second],
    );
    await claimOnly('hands', third);
    // Put back what the audit counters miss.
    await database.db.executeSql(
      `update waybill.outbox_audit set recorded = recorded - 1 where outcome = 'deleted'`,
    );
  });
});

describe('people', () => {
  const view = async (id: string) => showMessage(database.db, id);

  it('see when a waiting message is due, and which one it waits for', async () => {
    const due = new Date(Date.now() + 1_000);
    const [first, second] = [await record('seen'), await record('seen', { availableAt: due })];
    expect(await view(first)).toMatchObject({ orderKey: 'k', waitsFor: null });
    expect(await view(second)).toMatchObject({
      availableAt: due,
      waitsFor: {
        queue: 'seen',
        state: 'order',
        reason: `the message ${first} comes first and is pending`,
        since: null,
      },
    });
    await kill(await claimOnly('seen', first));
    const { messages } = await listMessages(database.db, { queue: ['seen'] });
    expect(messages.map(({ waitsFor }) => waitsFor?.reason)).toEqual([
      `the message ${first} comes first and is dead`,
      undefined,
    ]);
    expect(messages[0]!.waitsFor!.since).toEqual(messages[1]!.deadAt);
  });

  it('list blocked keys, oldest first, and unblock them with a note', async () => {
    const queue = 'blocked';
    const dead: string[] = [];
    for (const orderKey of ['a', 'b']) {
      dead.push(await record(queue, { orderKey }));
      await record(queue, { orderKey });
      await kill(await claimOnly(queue, dead.at(-1)!));
    }
    await record(queue, { orderKey: 'a' });
    const facts = { kind: 'job', name: 'n', error: 'no' };
    expect((await listBlockedKeys(database.db, queue)).blocked).toMatchObject([
      { ...facts, orderKey: 'a', messageId: dead[0], waiting: 2 },
      { ...facts, orderKey: 'b', messageId: dead[1], waiting: 1 },
    ]);
    const first = await listBlockedKeys(database.db, queue, { limit: '1' });
    const cursor = first.nextCursor!;
    const second = await listBlockedKeys(database.db, queue, { limit: '1', cursor });
    const both = [...first.blocked, ...second.blocked].map(({ orderKey }) => orderKey);
    expect(new Set(both).size).toBe(2);
    await expect(listBlockedKeys(database.db, queue, { cursor: 'x' })).rejects.toMatchObject({
      code: 'invalid_cursor',
    });
    const about = { by: 'ann', reason: 'paid by hand' };
    expect(await unblockKey(database.db, { queue, orderKey: 'a' }, about)).toEqual({
      queue,
      orderKey: 'a',
      messageIds: [dead[0]],
    });
    expect((await claim(queue)).map(({ orderKey }) => orderKey)).toEqual(['a']);
    expect(await view(dead[0]!)).toMatchObject({
      status: 'dead',
      notes: [{ type: 'unblocked', detail: 'by ann: paid by hand' }],
    });
    await expect(unblockKey(database.db, { queue, orderKey: 'a' }, about)).rejects.toMatchObject({
      code: 'order_key_not_blocked',
    });
    await expect(listBlockedKeys(database.db, 'blokced')).rejects.toMatchObject({ code: 'unknown_queue' });
    await expect(listBlockedKeys(database.db, queue, { limit: '0' })).rejects.toMatchObject({
      code: 'invalid_limit',
    });
  });

  it('cancel a dead message that blocks its key, and no other dead one', async () => {
    const [first, second] = [await record('dismissed'), await record('dismissed')];
    await kill(await claimOnly('dismissed', first));
    expect(await cancelMessage(database.db, first)).toMatchObject({ status: 'cancelled', deadAt: null });
    await claimOnly('dismissed', second);
    const skipped = await record('skipped', { onDead: 'skip' });
    await kill(await claimOnly('skipped', skipped));
    await expect(cancelMessage(database.db, skipped)).rejects.toMatchObject({ code: 'state_conflict' });
    expect(await outbox().cancel(skipped)).toBe(false);
  });

  it('K: retry many at once, and each key goes on in its order', async () => {
    const queue = 'bulk';
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push(await record(queue, { onDead: 'skip' }));
    for (const id of ids) await kill(await claimOnly(queue, id));
    expect(await retryMany(database.db, { queue: [queue], status: ['dead'] })).toEqual({
      matched: 3,
      retried: 3,
    });
    for (const id of ids) await deliver(await claimOnly(queue, id));
  });

  it('K: a retried message waits while another one of its key is at work', async () => {
    const [first, second] = [await record('beside', { onDead: 'skip' }), await record('beside')];
    await kill(await claimOnly('beside', first));
    const held = await claimOnly('beside', second);
    const retried = await retryMessage(database.db, first);
    expect(retried).toMatchObject({ status: 'pending', availableAt: expect.any(Date) as Date });
    expect(await claim('beside')).toEqual([]);
    await deliver(held);
    await claimOnly('beside', first);
  });
});

describe('retention', () => {
  it('keeps a dead message that blocks its key, and prunes it when it does no longer', async () => {
    const blocking = await record('old');
    await kill(await claimOnly('old', blocking));
    const skipped = await record('old-2', { onDead: 'skip' });
    await kill(await claimOnly('old-2', skipped));
    const there = async (): Promise<string[]> =>
      (
        await database.db.executeSql<{ id: string }>(
          `select id from waybill.outbox_messages where queue in ('old', 'old-2') order by id`,
        )
      ).rows.map(({ id }) => id);
    const none = { deliveredMs: 365 * 86_400_000, deadMs: -1_000, keyMs: 365 * 86_400_000 };
    await pruneBatch(database.db, none, 1_000);
    expect(await there()).toEqual([blocking]);
    await unblockKey(database.db, { queue: 'old', orderKey: 'k' }, { by: 'ann', reason: null });
    await pruneBatch(database.db, none, 1_000);
    expect(await there()).toEqual([]);
  });
});

describe('delivery keys', () => {
  it('of a message with an order key record it once, alone and among many', async () => {
    const deliveryKey = newId();
    const first = await record('once', { deliveryKey });
    expect(await outbox().enqueue(message('once', { deliveryKey }))).toMatchObject({
      id: first,
      duplicate: true,
    });
    const again = [message('once', { deliveryKey }), message('once', { payload: 'next' })];
    expect((await outbox().enqueue(again)).map(({ duplicate }) => duplicate)).toEqual([true, false]);
    await deliver(await claimOnly('once', first));
    expect((await claim('once'))[0]!.payload).toBe('next');
  });
});

it('waits for locks, if at all, in the commit alone', async () => {
  const commit = await open(async (tx) => {
    await recordIn(tx, 'locked');
    await tx.executeSql('set constraints all immediate'); // takes the locks of the commit now
  });
  const recorded = open((tx) => recordIn(tx, 'locked'));
  const second = await recorded;
  const committing = second();
  const waits = `select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`;
  await until(async () => (await database.db.executeSql(waits)).rows.length === 1, {
    what: 'a commit that waits',
  });
  await commit();
  await committing;
  expect(await claim('locked')).toHaveLength(1);
});
