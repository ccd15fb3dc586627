// Debounce and replace on Postgres: locks, rollbacks and races of recorders, claims, settlements and the sweep. Real: Postgres. Doubled: time, by
// moving the times of a row into the past.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { createEvents } from '../../src/metrics/events.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { createLog } from '../../src/metrics/log.ts';
import type { Enqueued, NewMessage } from '../../src/message/message.ts';
import { cancelMessage, retryMessage } from '../../src/operate/operate.ts';
import { listMessages, showMessage } from '../../src/operate/read.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { passKeys } from '../../src/outbox/replace.ts';
import { pruneBatch, pruneKept } from '../../src/relay/prune.ts';
import { createCheck } from '../../src/relay/check.ts';
import { createSweep } from '../../src/relay/sweep.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

let database: TestDatabase;
let outbox: OutboxPort;
beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
beforeEach(async () => {
  for (const table of ['outbox_messages', 'outbox_audit', 'outbox_keys'])
    await database.db.executeSql(`truncate waybill.${table} cascade`);
});
afterAll(() => database.end());

const message = (payload: number, over: Partial<NewMessage> = {}): NewMessage => ({
  kind: 'job',
  name: 'n',
  queue: 'q',
  payload,
  deliveryKey: 'k',
  onDuplicate: 'replace',
  ...over,
});
const debounced = (payload: number): NewMessage =>
  message(payload, { onDuplicate: undefined, debounce: '30s', maxWait: '60s' });
const sql = async <Row = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<Row[]> =>
  (await database.db.executeSql<Row>(text, values)).rows;
const claim = () => outbox.claimBatch({ limit: 10, leaseMs: 60_000, workerId: 'w' });
const rows = () =>
  sql<{ id: string; payload: number; status: string }>(
    'select id, payload, status from waybill.outbox_messages order by id',
  );
const payloads = async () => (await rows()).map(({ payload, status }) => [payload, status]);
const keys = () => sql('select message_id, pruned_at::text as at from waybill.outbox_keys');
const pass = (seconds: number) =>
  sql(
    `update waybill.outbox_messages set revision = revision + 1, available_at = available_at - $1 * interval '1 second',
       created_at = created_at - $1 * interval '1 second'`,
    [seconds],
  );
/** Seconds until the only message is due. */
const dueIn = async () =>
  (
    await sql<{ s: number }>(
      'select extract(epoch from available_at - clock_timestamp())::float8 as s from waybill.outbox_messages',
    )
  )[0]!.s;
const isWaiting = () =>
  until(
    async () =>
      (
        await sql(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        )
      ).length > 0,
    { what: 'a session that waits for a lock' },
  );
class Undone extends Error {}

/** Runs `meanwhile` while a transaction that has recorded these messages is open. */
async function whileOpen<T>(
  recorded: readonly NewMessage[],
  meanwhile: (answers: readonly Enqueued[], tx: Executor) => Promise<T>,
): Promise<T> {
  return database.db.transaction(async (tx) =>
    meanwhile(await createPostgresOutbox(tx).enqueue(recorded), tx),
  );
}

async function claimed(of: NewMessage) {
  await outbox.enqueue(of);
  const [one] = await claim();
  return one!;
}

describe('a replacement', () => {
  it('A: in a transaction that is rolled back changes nothing', async () => {
    await outbox.enqueue(message(1));
    const [before] = await sql('select * from waybill.outbox_messages');
    const undone = whileOpen([message(2), message(3, { deliveryKey: 'other' })], async (answers) => {
      expect(answers.map(({ replaced }) => replaced)).toEqual([true, undefined]);
      throw new Undone();
    });
    await expect(undone).rejects.toThrow(Undone);
    expect(await sql('select * from waybill.outbox_messages')).toEqual([before]);
    expect(await keys()).toEqual([]);
  });

  it('locks the message until its transaction ends: claims pass it by, then see the new payload', async () => {
    const { id } = await outbox.enqueue(message(1));
    await outbox.enqueue(message(5, { deliveryKey: 'other' }));
    await whileOpen([message(2)], async () => {
      expect((await claim()).map(({ payload }) => payload)).toEqual([5]);
    });
    expect((await claim()).map((one) => [one.id, one.payload])).toEqual([[id, 2]]);
  });

  it('of two transactions at once waits for the other, and both payloads were recorded in their order', async () => {
    const { id } = await outbox.enqueue(message(1));
    let second: Promise<Enqueued> | undefined;
    await whileOpen([message(2)], async () => {
      second = outbox.enqueue(message(3));
      await isWaiting();
    });
    expect(await second).toEqual({ id, status: 'pending', duplicate: true, replaced: true });
    expect(await payloads()).toEqual([[3, 'pending']]);
    expect(await keys()).toEqual([]);
  });

  it.each(['commits', 'is rolled back'])(
    'of a key that is new waits for the first recorder, which %s',
    async (end) => {
      let second: Promise<Enqueued> | undefined;
      const first = whileOpen([message(1)], async ([answer]) => {
        second = outbox.enqueue(message(2));
        await isWaiting();
        if (end !== 'commits') throw new Undone();
        return answer!.id;
      });
      const id = await first.catch(() => undefined);
      expect((await second)!.replaced).toBe(end === 'commits' ? true : undefined);
      expect(id === undefined || id === (await second)!.id).toBe(true);
      expect(await payloads()).toEqual([[2, 'pending']]);
      expect(await keys()).toEqual([]);
    },
  );

  it('of many keys in any order does not deadlock with another', async () => {
    const of = (order: readonly string[]) => order.map((deliveryKey, i) => message(i, { deliveryKey }));
    await outbox.enqueue(of(['a', 'b', 'c']));
    const both = Array.from({ length: 20 }, (_, i) =>
      outbox.enqueue(of(i % 2 ? ['a', 'b', 'c'] : ['c', 'b', 'a'])),
    );
    for (const answers of await Promise.all(both))
      expect(answers.every(({ replaced }) => replaced)).toBe(true);
    expect(await payloads()).toHaveLength(3);
  });

  it('in a transaction that has an older snapshot fails as any write there', async () => {
    await outbox.enqueue(message(1));
    const late = database.db.transaction(async (tx) => {
      await tx.executeSql('set transaction isolation level repeatable read');
      await tx.executeSql('select from waybill.outbox_messages');
      await outbox.enqueue(message(2));
      await createPostgresOutbox(tx).enqueue(message(3));
    });
    await expect(late).rejects.toMatchObject({ code: '40001' });
    expect(await payloads()).toEqual([[2, 'pending']]);
  });

  it('is counted and shown; an empty count is 0', async () => {
    const { id } = await outbox.enqueue(message(1));
    expect((await showMessage(database.db, id)).replacements).toBe(0);
    await outbox.enqueue([message(2), message(3)]);
    expect(await showMessage(database.db, id)).toMatchObject({ replacements: 2, payload: 3 });
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });
});

describe('a message that is being sent', () => {
  it('C: can be extended and settled while a transaction is open that records its successor', async () => {
    const older = await claimed(message(1));
    await whileOpen([message(2)], async ([newer]) => {
      expect(newer!.duplicate).toBe(false);
      expect(await outbox.extend([older], 60_000)).toEqual([older.id]);
      expect(await outbox.markDelivered(older.id, older.claimToken)).toBe(true);
      await outbox.expire(10); // the transaction is not committed: there is nothing to do yet
    });
    await outbox.expire(10);
    expect((await claim()).map(({ payload }) => payload)).toEqual([2]);
    expect(await keys()).toEqual([]);
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });

  it('has one successor, although two transactions record one at once', async () => {
    const older = await claimed(message(1));
    let second: Promise<Enqueued> | undefined;
    const first = await whileOpen([message(2)], async ([answer]) => {
      second = outbox.enqueue(message(3));
      await isWaiting();
      return answer!;
    });
    expect(await second).toEqual({ ...first, duplicate: true, replaced: true });
    expect(await payloads()).toEqual([
      [1, 'sending'],
      [3, 'pending'],
    ]);
    expect(older.id).not.toBe(first.id);
  });

  it('was claimed while a recorder waited for the claim: it is not changed', async () => {
    await outbox.enqueue(message(1));
    let newer: Promise<Enqueued> | undefined;
    await database.db.transaction(async (tx) => {
      const [older] = await createPostgresOutbox(tx).claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w' });
      expect(older!.payload).toBe(1);
      newer = outbox.enqueue(message(2));
      await isWaiting();
    });
    expect((await newer)!.duplicate).toBe(false);
    expect(await payloads()).toEqual([
      [1, 'sending'],
      [2, 'pending'],
    ]);
  });

  it('failed while the recorder was not committed: it is cancelled afterwards, whatever its backoff', async () => {
    const older = await claimed(message(1));
    await whileOpen([message(2)], async () => {
      expect(await outbox.markFailed(older.id, older.claimToken, 'no')).toBe(true);
      await outbox.expire(10);
    });
    await outbox.expire(10);
    expect(await payloads()).toEqual([
      [1, 'cancelled'],
      [2, 'pending'],
    ]);
    expect((await claim()).map(({ payload }) => payload)).toEqual([2]);
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });

  it('may be tried again before the sweep: the newer message waits for that too', async () => {
    const older = await claimed(message(1));
    await outbox.enqueue(message(2));
    await outbox.markFailed(older.id, older.claimToken, 'no');
    const [again] = await claim();
    expect(again!.payload).toBe(1);
    await outbox.expire(10);
    expect(await claim()).toEqual([]);
    await outbox.markDelivered(again!.id, again!.claimToken);
    await outbox.expire(10);
    expect((await claim()).map(({ payload }) => payload)).toEqual([2]);
  });

  it('B: lost its worker: the sweep makes it due, cancels it, and lets the newer one go', async () => {
    const older = await claimed(message(1));
    await outbox.enqueue(message(2));
    await sql(
      `update waybill.outbox_messages set claimed_until = now() - interval '1 second' where id = $1`,
      [older.id],
    );
    await outbox.expire(10);
    expect((await claim()).map(({ payload }) => payload)).toEqual([2]);
  });
});

describe('the sweep', () => {
  const log = createLog({ level: 'silent', role: 'test' });
  const sweep = (woken: () => void = () => undefined) =>
    createSweep({
      db: database.db,
      events: createEvents(log, createMetrics({ version: 'test' })),
      observe: () => undefined,
      intervalMs: 1_000,
      wakeRelay: woken,
    })();

  it('leaves a message that is held back, and tells the relay when it is not any more', async () => {
    const older = await claimed(message(1));
    const { id } = await outbox.enqueue(message(2));
    let woken = 0;
    await sweep(() => (woken += 1));
    expect([woken, await claim()]).toEqual([0, []]);
    expect((await createCheck(database.db, performance, 0)()).lapsed).toBe(true); // an idle relay sweeps
    await outbox.markDelivered(older.id, older.claimToken);
    await sweep(() => (woken += 1));
    expect([woken, (await claim()).map((one) => one.id)]).toEqual([1, [id]]);
  });

  it('B: frees a message that is held back and whose key somebody deleted by hand', async () => {
    await claimed(message(1));
    const { id } = await outbox.enqueue(message(2));
    await sql('delete from waybill.outbox_keys');
    await sweep();
    expect((await claim()).map((one) => one.id)).toEqual([id]);
  });

  it('passes keys that a recorder has locked by, and ends them later', async () => {
    const older = await claimed(message(1));
    await outbox.enqueue(message(2));
    await outbox.markDelivered(older.id, older.claimToken);
    await whileOpen([message(3)], async ([answer]) => {
      expect(answer!.replaced).toBe(true);
      expect(await passKeys(database.db, 10)).toBe(0);
    });
    expect(await passKeys(database.db, 10)).toBe(1);
    expect((await claim()).map(({ payload }) => payload)).toEqual([3]);
  });

  it('gives a cancelled message its key back, so that an operator can retry it', async () => {
    const older = await claimed(message(1));
    const { id } = await outbox.enqueue(message(2));
    expect(await showMessage(database.db, id)).toMatchObject({ deliveryKey: 'k', status: 'pending' });
    await cancelMessage(database.db, id);
    await passKeys(database.db, 10);
    expect(await keys()).toEqual([]);
    await expect(retryMessage(database.db, id)).rejects.toMatchObject({ code: 'delivery_key_taken' });
    await outbox.markFailed(older.id, older.claimToken, 'no', { permanent: true });
    expect(await retryMessage(database.db, id)).toMatchObject({ status: 'pending', deliveryKey: 'k' });
  });

  it('C: cancelled while it was held back, it cannot be retried beside another one, before the sweep and after', async () => {
    const older = await claimed(message(1));
    const { id } = await outbox.enqueue(message(2));
    await cancelMessage(database.db, id);
    const isRefused = () =>
      expect(retryMessage(database.db, id)).rejects.toMatchObject({ code: 'delivery_key_taken' });
    await isRefused(); // the older one is being sent
    await outbox.enqueue(message(3)); // takes the key over before the sweep could give it back
    await isRefused();
    await outbox.markFailed(older.id, older.claimToken, 'no', { permanent: true });
    expect(await passKeys(database.db, 10)).toBe(1);
    await isRefused(); // the newest one waits
    expect((await claim()).map(({ payload }) => payload)).toEqual([3]);
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
  });
});

describe('the key of an older message', () => {
  it('is that of the newest: the older one cannot be retried beside it', async () => {
    const older = await claimed(message(1));
    await outbox.enqueue(message(2));
    await outbox.markFailed(older.id, older.claimToken, 'no', { permanent: true });
    const taken = { code: 'delivery_key_taken' };
    await expect(retryMessage(database.db, older.id)).rejects.toMatchObject(taken);
    await outbox.expire(10);
    await expect(retryMessage(database.db, older.id)).rejects.toMatchObject(taken);
  });

  it('is shown and found with every message that had it', async () => {
    const older = await claimed(message(1));
    await outbox.markDelivered(older.id, older.claimToken);
    const newer = await outbox.enqueue(message(2));
    const found = await listMessages(database.db, { deliveryKey: ['k'] });
    expect(found.messages.map(({ id, deliveryKey }) => [id, deliveryKey])).toEqual([
      [newer.id, 'k'],
      [older.id, 'k'],
    ]);
  });

  it('outlives the newest message alone, and a replacement frees it', async () => {
    const prune = () => pruneBatch(database.db, { deliveredMs: -1_000, deadMs: -1_000, keyMs: 0 }, 10);
    const older = await claimed(message(1));
    await outbox.markDelivered(older.id, older.claimToken);
    const newer = await outbox.enqueue(message(2));
    await prune();
    expect([await payloads(), await keys()]).toEqual([[[2, 'pending']], []]);
    const [one] = await claim();
    await outbox.markDelivered(one!.id, one!.claimToken);
    await prune();
    expect(await keys()).toMatchObject([{ message_id: newer.id }]);
    expect(await outbox.enqueue(message(3, { onDuplicate: 'keep' }))).toMatchObject({ duplicate: true });
    const third = await outbox.enqueue(message(3));
    expect([third.duplicate, await keys()]).toEqual([false, []]);
    expect((await verifyOutbox(database.db)).ok).toBe(true);
  });

  it('is kept for a message that is held back, however long', async () => {
    const retention = { deliveredMs: -1_000, deadMs: -1_000, keyMs: -1_000 };
    const older = await claimed(message(1));
    const newer = await outbox.enqueue(message(2));
    await outbox.markDelivered(older.id, older.claimToken);
    await pruneBatch(database.db, retention, 10); // before any sweep
    await pruneKept(database.db, retention, 10);
    expect(await keys()).toEqual([{ message_id: newer.id, at: 'infinity' }]);
    await passKeys(database.db, 10);
    expect((await claim()).map(({ id }) => id)).toEqual([newer.id]);
  });
});

describe('debounce', () => {
  it('H: moves the time by the clock of the database, up to maxWait after the first recording', async () => {
    await outbox.enqueue(debounced(1));
    expect(await dueIn()).toBeCloseTo(30, 0);
    await pass(20);
    await outbox.enqueue(debounced(2));
    expect(await dueIn()).toBeCloseTo(30, 0);
    await pass(20);
    await outbox.enqueue(debounced(3));
    expect(await dueIn()).toBeCloseTo(20, 0);
    expect(await claim()).toEqual([]);
    await pass(25);
    const due = await dueIn();
    await outbox.enqueue(debounced(4)); // it is overdue, and keeps its place
    expect(await dueIn()).toBeCloseTo(due, 0);
    expect((await claim()).map(({ payload }) => payload)).toEqual([4]);
  });

  it('waits ten times the pause without maxWait', async () => {
    const often = (n: number) => message(n, { onDuplicate: undefined, debounce: '30s' });
    await outbox.enqueue(often(1));
    await pass(290);
    await outbox.enqueue(often(2));
    expect(await dueIn()).toBeCloseTo(10, 0);
  });

  it('begins anew after a delivery, with a message of its own', async () => {
    await outbox.enqueue(debounced(1));
    await pass(30);
    const [first] = await claim();
    await outbox.markDelivered(first!.id, first!.claimToken);
    expect((await outbox.enqueue(debounced(2))).duplicate).toBe(false);
    await pass(30);
    expect((await claim()).map(({ payload }) => payload)).toEqual([2]);
  });

  it('dates an email when it becomes due, like one for later', async () => {
    const mail = { kind: 'email', name: 'email', queue: 'email', debounce: '30s', deliveryKey: 'm' } as const;
    await outbox.enqueue({ ...mail, payload: { subject: '1' } });
    await pass(10);
    await outbox.enqueue({ ...mail, payload: { subject: '2' } });
    const [row] = await sql<{ subject: string; date: string; due: Date }>(
      `select payload ->> 'subject' as subject, payload ->> 'date' as date, available_at as due from waybill.outbox_messages`,
    );
    expect(row).toMatchObject({ subject: '2', date: row!.due.toISOString() });
  });

  it('a message of `keep` that waits is replaced too', async () => {
    const { id } = await outbox.enqueue(message(1, { onDuplicate: undefined }));
    expect(await outbox.enqueue(debounced(2))).toMatchObject({ id, replaced: true });
    expect(await dueIn()).toBeCloseTo(30, 0);
  });
});

describe('waybill.enqueue', () => {
  const enqueue = async (payload: number, options: string): Promise<string> =>
    (
      await sql<{ id: string }>(
        `select waybill.enqueue('job', 'n', $1::int::text::jsonb, queue => 'q', ${options}) as id`,
        [payload],
      )
    )[0]!.id;

  it('replaces and debounces as the library does', async () => {
    const first = await enqueue(1, `delivery_key => 'k', debounce => '30 seconds', max_wait => '1 minute'`);
    expect(await dueIn()).toBeCloseTo(30, 0);
    expect(await outbox.enqueue(debounced(2))).toMatchObject({ id: first, replaced: true });
    await pass(50);
    expect(await enqueue(3, `delivery_key => 'k', debounce => '30 seconds', max_wait => '1 minute'`)).toBe(
      first,
    );
    expect(await dueIn()).toBeCloseTo(10, 0);
    expect(await enqueue(4, `delivery_key => 'k', on_duplicate => 'replace'`)).toBe(first);
    expect(await dueIn()).toBeCloseTo(10, 0);
    expect(await enqueue(5, `delivery_key => 'k'`)).toBe(first);
    expect(await payloads()).toEqual([[4, 'pending']]);
  });

  it('records a new message beside one that is being sent', async () => {
    const older = await claimed(message(1));
    const newer = await enqueue(2, `delivery_key => 'k', on_duplicate => 'replace'`);
    expect(newer).not.toBe(older.id);
    await outbox.markFailed(older.id, older.claimToken, 'no', { permanent: true });
    expect(await enqueue(3, `delivery_key => 'k', on_duplicate => 'keep'`)).toBe(newer);
    await outbox.expire(10);
    expect((await claim()).map(({ id, payload }) => [id, payload])).toEqual([[newer, 2]]);
  });

  it.each([
    [`on_duplicate => 'replace'`, 'debounce_needs_key'],
    [`on_duplicate => 'keep'`, 'debounce_needs_key'],
    [`debounce => '1 second'`, 'debounce_needs_key'],
    [`delivery_key => 'k', on_duplicate => 'merge'`, 'on_duplicate_invalid'],
    [`delivery_key => 'k', debounce => '0 seconds'`, 'debounce_invalid'],
    [`delivery_key => 'k', debounce => '-1 seconds'`, 'debounce_invalid'],
    [`delivery_key => 'k', debounce => '31 days'`, 'debounce_invalid'],
    [`delivery_key => 'k', debounce => '1 second', available_at => now()`, 'debounce_invalid'],
    [`delivery_key => 'k', debounce => '1 second', on_duplicate => 'keep'`, 'debounce_invalid'],
    [`delivery_key => 'k', on_duplicate => 'replace', max_wait => '1 minute'`, 'max_wait_invalid'],
    [`delivery_key => 'k', debounce => '2 seconds', max_wait => '1 second'`, 'max_wait_invalid'],
    [`delivery_key => 'k', debounce => '2 seconds', max_wait => '366 days'`, 'max_wait_invalid'],
  ])('refuses %s', async (options, detail) => {
    await expect(enqueue(1, options)).rejects.toMatchObject({ code: '22023', detail });
    expect(await rows()).toEqual([]);
  });
});
