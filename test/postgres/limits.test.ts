// Limits of a queue for the whole fleet (invariant L). Real: Postgres. Doubled: nothing.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { claimSome, claimWaiting } from '../../src/outbox/claim.ts';
import { findDue } from '../../src/outbox/waiting.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { limitQueue, resetLimits } from '../../src/operate/limits.ts';
import { noteLimited } from '../../src/queues/limited.ts';
import type { Limits } from '../../src/queues/limits.ts';
import { fleetGauges } from '../../src/metrics/gauges.ts';
import { listQueues, pauseQueue, registerQueues, resumeQueue } from '../../src/queues/queues.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let outbox: OutboxPort;

beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
afterAll(() => database.end());
beforeEach(async () => {
  await database.db.executeSql(
    'truncate waybill.outbox_messages, waybill.outbox_audit, waybill.queues cascade',
  );
  await registerQueues(database.db, ['q', 'r']);
});

const record = async (n: number, queue = 'q'): Promise<void> => {
  const messages = Array.from({ length: n }, (_, i): NewMessage => ({
    kind: 'job',
    name: 'noop',
    queue,
    payload: i,
  }));
  await outbox.enqueue(messages);
};
const about = { by: 'ann', reason: 'the provider asked for it' };
const place = { queue: 'q', priority: 0, leaseMs: 60_000, workerId: 'w' };
const claim = (limit = 100, known?: string) => claimSome(database.db, { ...place, limit, known });
const view = async () => (await listQueues(database.db)).find(({ name }) => name === 'q')!;
const limit = (limits: Limits) => limitQueue(database.db, 'q', limits, about);

describe('concurrency', () => {
  it('over the fleet is never exceeded, however many claim at once', async () => {
    await record(200);
    await limit({ concurrency: 5 });
    const taken = await Promise.all(Array.from({ length: 20 }, () => claim(3)));
    expect(taken.flat()).toHaveLength(5);
    await outbox.markDelivered(taken.flat()[0]!.message.id, taken.flat()[0]!.message.claimToken);
    expect((await Promise.all(Array.from({ length: 20 }, () => claim(3)))).flat()).toHaveLength(1);
  });

  it('counts a message until its lease has run out: the places of a killed worker are free then', async () => {
    await record(10);
    await limit({ concurrency: 2 });
    expect(await claim()).toHaveLength(2);
    expect(await claim()).toHaveLength(0);
    await database.db.executeSql(
      `update waybill.outbox_messages set claimed_until = now() - interval '1 second', revision = revision + 1 where status = 'sending'`,
    );
    expect(await claim()).toHaveLength(2);
  });

  it('holds for the next claim after an operator sets it, and for none after a reset', async () => {
    await record(20);
    expect(await claimWaiting(database.db, { ...place, limit: 1 })).toHaveLength(1);
    await limit({ concurrency: 3 });
    expect(await claimWaiting(database.db, { ...place, limit: 5 })).toEqual([]); // it must ask for the limits first
    expect(await claim(5)).toHaveLength(2);
    await limit({ concurrency: 4 });
    expect(await claim(5)).toHaveLength(1);
    await resetLimits(database.db, 'q', about);
    expect(await claimWaiting(database.db, { ...place, limit: 5 })).toHaveLength(5);
    expect(await claim(5)).toHaveLength(5);
  });

  it('of another queue changes nothing', async () => {
    await record(5);
    await limitQueue(database.db, 'r', { concurrency: 1 }, about);
    expect(await claimWaiting(database.db, { ...place, limit: 5 })).toHaveLength(5);
  });
});

describe('a rate', () => {
  it('gives nothing to a claim that does not know it as it is now', async () => {
    await record(5);
    await limit({ rate: { limit: 10, ms: 1_000, burst: 1 } });
    expect(await claim()).toEqual([]);
    const { limits } = await findDue(database.db, ['q']);
    const known = limits.get('q')!;
    expect(JSON.parse(known)).toEqual({ rate: { limit: 10, ms: 1_000, burst: 1 } });
    expect(await claim(2, known)).toHaveLength(2); // the permits are the caller's part
    await limit({ rate: { limit: 5, ms: 1_000, burst: 1 } });
    expect(await claim(2, known)).toEqual([]);
    expect(await outbox.claimBatch({ limit: 5, leaseMs: 60_000, workerId: 'w' })).toEqual([]);
  });
});

describe('what is shown', () => {
  it('is what the application says, what an operator set, who and why', async () => {
    await registerQueues(
      database.db,
      ['q'],
      new Map([['q', { concurrency: 10, rate: { limit: 12.5, ms: 1_000, burst: 1 } }]]),
    );
    const shown = await limit({ concurrency: 2, rate: null });
    expect(shown.limits).toMatchObject({
      effective: { concurrency: 2, rate: null },
      application: { concurrency: 10, rate: { limit: 12.5 } },
      operator: { concurrency: 2, rate: null },
      looser: ['rate'],
      ...about,
    });
    expect(shown.rate).toBeNull();
    const reset = await resetLimits(database.db, 'q', { by: 'bob', reason: null });
    expect(reset).toMatchObject({
      rate: 12.5,
      limits: { effective: { concurrency: 10 }, operator: {}, by: 'bob' },
    });
  });

  it('of two operators is what each set last', async () => {
    await Promise.all([
      limit({ concurrency: 2 }),
      limitQueue(database.db, 'q', { groupConcurrency: 3 }, { by: 'bob', reason: null }),
    ]);
    expect((await view()).limits.effective).toEqual({ concurrency: 2, groupConcurrency: 3 });
  });

  it('is refused for an unknown queue', async () => {
    await expect(limitQueue(database.db, 'qq', { concurrency: 1 }, about)).rejects.toMatchObject({
      code: 'unknown_queue',
    });
  });

  it('stays an operator’s when a process with other limits starts', async () => {
    await limit({ concurrency: 2 });
    await registerQueues(database.db, ['q'], new Map([['q', { concurrency: 50, groupConcurrency: 7 }]]));
    expect((await view()).limits.effective).toEqual({ concurrency: 2, groupConcurrency: 7 });
    await registerQueues(database.db, ['q']);
    expect((await view()).limits.application).toEqual({});
  });

  it('cannot be nonsense that was written by hand', async () => {
    for (const limits of ['{"concurrency": -1}', '{"rate": {"limit": 1e11}}'])
      await expect(
        database.db.executeSql('update waybill.queues set app_limits = $1::text::jsonb', [limits]),
      ).rejects.toMatchObject({ code: '23514' });
  });
});

describe('a ramp', () => {
  it('lets a queue that reopens start slowly, and ends', async () => {
    await record(500);
    await pauseQueue(database.db, 'q', about);
    expect(await claim()).toEqual([]);
    await resumeQueue(database.db, 'q');
    expect(await claimWaiting(database.db, { ...place, limit: 100 })).toEqual([]);
    expect(await claim(100)).toHaveLength(4);
    const at = (ago: string): Promise<unknown> =>
      database.db.executeSql(
        `update waybill.queues set ramp_from = now() - $1::text::interval where name = 'q'`,
        [ago],
      );
    await at('10 seconds');
    const more = await claim(400);
    expect(more.length).toBeGreaterThan(20);
    expect(more.length).toBeLessThan(60);
    await at('31 seconds');
    expect((await claimWaiting(database.db, { ...place, limit: 400 })).length).toBeGreaterThan(300);
  });

  it('of 0 s is none, and so is that of a queue that was not closed', async () => {
    await record(100);
    await limit({ rampMs: 0 });
    await pauseQueue(database.db, 'q', about);
    await resumeQueue(database.db, 'q');
    expect(await claimWaiting(database.db, { ...place, limit: 50 })).toHaveLength(50);
    await resetLimits(database.db, 'q', about);
    await database.db.executeSql(`update waybill.queues set ramp_from = null`);
    await resumeQueue(database.db, 'q');
    expect(await claimWaiting(database.db, { ...place, limit: 50 })).toHaveLength(50);
  });
});

describe('the metrics', () => {
  const lines = async (name: string): Promise<string[]> =>
    (await fleetGauges(database.db)).split('\n').filter((line) => line.startsWith(`waybill_${name}{`));
  const note = async (): Promise<void> => {
    await database.db.executeSql(
      `update waybill.queues set limited_seen_at = now() - interval '1.5 seconds'`,
    );
    await noteLimited(database.db, ['q', 'r']);
    await noteLimited(database.db, ['q', 'r']); // another relay, in the same second
  };

  it('say which limits hold, and how long work waited for which', async () => {
    await limit({ concurrency: 2, rate: { limit: 30, ms: 60_000, burst: 1 }, groupConcurrency: 4 });
    expect(await lines('queue_limit')).toEqual([
      'waybill_queue_limit{queue="q",limit="concurrency"} 2',
      'waybill_queue_limit{queue="q",limit="group_concurrency"} 4',
      'waybill_queue_limit{queue="q",limit="rate"} 0.5',
    ]);
    await note();
    await limit({ rate: null });
    await record(5);
    expect(await claim()).toHaveLength(2);
    await note();
    await note();
    expect(
      (await lines('queue_limited_seconds_total')).map((line) => line.replace(/(\.\d)\d*$/, '$1')),
    ).toEqual([
      'waybill_queue_limited_seconds_total{queue="q",limit="concurrency"} 3.0',
      'waybill_queue_limited_seconds_total{queue="q",limit="group"} 0',
      'waybill_queue_limited_seconds_total{queue="q",limit="rate"} 1.5',
    ]);
  });
});
