// The permits of a worker: when they come, when they are returned, how late. Real: src/worker/permits.ts. Doubled: time, and a database with permits
// that are free.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { rateOf } from '../../src/queues/limits.ts';
import { planRate } from '../../src/queues/rate.ts';
import { createPermits, permitsOfQueues, type BookedPermit } from '../../src/worker/permits.ts';

beforeEach(() => {
  vi.useFakeTimers();
  vi.advanceTimersByTime(1_000_000); // performance.now begins at 0, where sums and differences are the same
});
afterEach(() => void vi.useRealTimers());

const open = new AbortController().signal;

/** A database with permits that are free in so many ms, which answers at once or after so many ms. */
function world(freeIn: readonly number[], answersIn = 0) {
  /** How many ms after their slots permits become free. */
  const returned: (readonly number[])[] = [];
  let made = 0;
  let onTheWay: Promise<unknown> | undefined;
  const db: Executor = {
    async executeSql<Row>(sql: string, values: readonly unknown[] = []) {
      if (answersIn > 0) await takes(answersIn);
      if (sql.includes('skip locked'))
        return { rows: freeIn.map((one, n) => ({ n, freeIn: one, lastIn: 0, at: 'now' })) as Row[] };
      if (sql.includes('returning'))
        return { rows: freeIn.map((_, n) => ({ n, slotAt: `slot ${n}` })) as Row[] };
      if (sql.includes('insert')) made++;
      if (sql.includes('update')) returned.push(values[3] as number[]);
      await onTheWay;
      return { rows: [{ ms: 700 }] as Row[] };
    },
  };
  const errors: unknown[] = [];
  const clock = { now: () => performance.now() };
  const onError = (error: unknown): void => void errors.push(error);
  const ports = { db, clock, random: () => 0.5, onError };
  const permits = createPermits('email', planRate(rateOf(10)), ports);
  const first = async (): Promise<BookedPermit> => (await (await permits(db, 1)).book(1))[0]!;
  const slowDown = (): void => void (onTheWay = takes(10));
  return { db, returned, errors, ports, permits, first, slowDown, made: () => made };
}

const takes = (ms: number): Promise<string> =>
  new Promise((resolve) => setTimeout(() => resolve('accepted'), ms));

describe('a permit', () => {
  it('comes at its slot, not before', async () => {
    const permit = await world([250]).first();
    const came = vi.fn<(yes: boolean) => void>();
    void permit.come(open).then(came);
    await vi.advanceTimersByTimeAsync(249);
    expect(came).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2);
    expect(came).toHaveBeenCalledWith(true);
  });

  it('whose slot is now comes without a timer, and is not returned', async () => {
    const { first, returned } = world([0]);
    const permit = await first();
    const came = vi.fn<(yes: boolean) => void>();
    void permit.come(open).then(came);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect([came.mock.calls, vi.getTimerCount(), returned]).toEqual([[[true]], 0, []]);
  });

  it('is missed when the process stood still until it may be booked by another worker', async () => {
    const { first, returned } = world([0]);
    const [one, other] = [await first(), await first()];
    vi.advanceTimersByTime(3_000);
    expect(await one.come(open)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(await other.come(open)).toBe(false);
    expect(returned).toEqual([[0]]); // not used: free since its slot
  });

  it('does not come to one that must stop; it is free for others', async () => {
    const { first, returned } = world([300]);
    const permit = await first();
    const stop = new AbortController();
    const came = permit.come(stop.signal);
    stop.abort();
    expect([await came, returned]).toEqual([false, [[0]]]);
  });

  it.each([
    [5, 1_040],
    [40, 1_040],
    [60, 1_060],
    [450, 1_450],
    [2_500, 3_000], // longer than anybody waits for the answer of one that is usually quick
  ])('after an answer in %d ms it is free %d ms after its slot', async (ms, free) => {
    const { first, returned } = world([0]);
    const quick = (await first()).spend(takes(5));
    await vi.advanceTimersByTimeAsync(5);
    await quick;
    const permit = await first();
    const spent = permit.spend(takes(ms));
    await vi.advanceTimersByTimeAsync(ms);
    expect([await spent, returned]).toEqual(['accepted', [[1_040], [free]]]);
  });

  it('with a provider that is never quick its start counts, not the answer', async () => {
    const { first, returned } = world([0]);
    const opening = await Promise.all(Array.from({ length: 20 }, first));
    const opened = opening.map((permit) => permit.spend(takes(200)));
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(opened);
    expect(returned.flat()).toEqual(opening.map(() => 1_200));
    returned.length = 0;
    const [punctual, late] = [await first(), await first()];
    const both = [punctual.spend(takes(200))];
    await vi.advanceTimersByTimeAsync(25);
    both.push(late.spend(takes(200)));
    await vi.advanceTimersByTimeAsync(30);
    expect(returned).toEqual([[1_040], [1_055]]);
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(both);
  });

  it.each([
    ['quick', 30, 60, 1_060],
    ['not quick', 31, 60, 1_040],
  ])('with a provider that is %s after 20 answers in %d ms', async (_, usually, ms, free) => {
    const { first, returned } = world([0]);
    const opening = await Promise.all(Array.from({ length: 20 }, first));
    const opened = opening.map((permit) => permit.spend(takes(usually)));
    await vi.advanceTimersByTimeAsync(usually);
    await Promise.all(opened);
    returned.length = 0;
    const spent = (await first()).spend(takes(ms));
    await vi.advanceTimersByTimeAsync(ms);
    expect([await spent, returned]).toEqual(['accepted', [[free]]]);
  });

  it('forgets after some hundred handovers that a provider was quick once', async () => {
    const { first, returned } = world([0]);
    const spend = async (ms: number, count: number): Promise<void> => {
      const all = Array.from({ length: count }, async () => (await first()).spend(takes(ms)));
      await vi.advanceTimersByTimeAsync(ms);
      await Promise.all(all);
    };
    await spend(5, 1);
    await spend(200, 400);
    returned.length = 0;
    await spend(60, 1);
    expect(returned).toEqual([[1_040]]);
  });

  it('is late from the earliest time that its slot can have; after 20 bookings the quickest round trip says more', async () => {
    const { first, returned } = world([0], 10);
    const spend = async (): Promise<void> => {
      const spent = first().then((permit) => permit.spend(takes(50)));
      await vi.advanceTimersByTimeAsync(200);
      await spent;
    };
    for (let i = 0; i < 19; i++) await spend();
    // It is booked 10 ms after the database's clock was asked, and the booking takes as long; then 50 ms for the answer.
    expect(returned.flat()).toEqual(Array.from({ length: 19 }, () => 1_070));
    returned.length = 0;
    await spend();
    expect(returned.flat()).toEqual([1_065]);
  });

  it('is late from its own slot, and its timer ends with the handover', async () => {
    const { first, returned } = world([250]);
    const permit = await first();
    const came = permit.come(open);
    await vi.advanceTimersByTimeAsync(250);
    expect(await came).toBe(true);
    const spent = permit.spend(takes(50));
    await vi.advanceTimersByTimeAsync(50);
    expect([await spent, returned, vi.getTimerCount()]).toEqual(['accepted', [[1_050]], 0]);
  });

  it('that is returned while others are on the way goes with the next batch', async () => {
    const { first, returned, slowDown } = world([0]);
    const permits = [await first(), await first(), await first()];
    slowDown();
    const all = permits.map((permit) => permit.spend(takes(5)));
    await vi.advanceTimersByTimeAsync(20);
    await Promise.all(all);
    expect(returned).toEqual([[1_040], [1_040, 1_040]]);
  });

  it('whose handover fails passes the error on; the error of returning it is reported', async () => {
    const { first, db, errors } = world([0]);
    const permit = await first();
    db.executeSql = () => Promise.reject(new Error('away'));
    const failing = takes(60).then(() => Promise.reject(new Error('refused')));
    const [spent] = await Promise.all([
      Promise.allSettled([permit.spend(failing)]),
      vi.advanceTimersByTimeAsync(60),
    ]);
    expect(spent).toMatchObject([{ status: 'rejected', reason: { message: 'refused' } }]);
    expect(errors).toMatchObject([{ message: 'away' }]);
  });
});

it('a worker that got fewer permits than it wanted rests: a part of the horizon, or until one is free', async () => {
  const some = world([0, 100]);
  expect(await some.permits(some.db, 2)).toMatchObject({ restMs: 0 });
  expect(await some.permits(some.db, 3)).toMatchObject({ restMs: 150 });
  const none = world([]);
  expect(await none.permits(none.db, 3)).toMatchObject({ count: 0, restMs: 700 });
});

describe('the permits of a queue', () => {
  it('are made once, and made again when that failed', async () => {
    const { db, permits, made } = world([0]);
    const { executeSql } = db;
    db.executeSql = () => Promise.reject(new Error('away'));
    await expect(permits(db, 1)).rejects.toThrow('away');
    db.executeSql = executeSql;
    await permits(db, 1);
    await permits(db, 1);
    expect(made()).toBe(1);
  });

  it('stay the same until its rate changes', () => {
    const permits = permitsOfQueues(world([0]).ports);
    const email = permits('email', rateOf(10));
    expect(permits('email', rateOf(10))).toBe(email);
    expect(permits('jobs', rateOf(10))).not.toBe(email);
    const { limit, ms, burst } = rateOf(10);
    for (const rate of [
      { limit: limit + 1, ms, burst },
      { limit, ms: ms + 1, burst },
      { limit, ms, burst: burst + 1 },
    ])
      expect(permits('email', rate)).not.toBe(permits('email', rateOf(10)));
  });
});
