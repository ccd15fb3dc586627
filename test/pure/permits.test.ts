import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { rateOf } from '../../src/queues/limits.ts';
import { planRate } from '../../src/queues/rate.ts';
import { createPermits, type BookedPermit } from '../../src/worker/permits.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const open = new AbortController().signal;

/** A database with permits that are free in so many ms, and how many ms after their slots they were given back. */
function world(freeIn: readonly number[]) {
  const back: (readonly number[])[] = [];
  let onTheWay: Promise<unknown> | undefined;
  const db: Executor = {
    async executeSql<Row>(sql: string, values: readonly unknown[] = []) {
      if (sql.includes('skip locked'))
        return { rows: freeIn.map((one, n) => ({ n, freeIn: one, lastIn: 0, at: 'now' })) as Row[] };
      if (sql.includes('returning'))
        return { rows: freeIn.map((_, n) => ({ n, slotAt: `slot ${n}` })) as Row[] };
      if (sql.includes('update')) back.push(values[3] as number[]);
      await onTheWay;
      return { rows: [{ ms: 700 }] as Row[] };
    },
  };
  const errors: unknown[] = [];
  const clock = { now: () => performance.now() };
  const onError = (error: unknown): void => void errors.push(error);
  const turns = createPermits('email', planRate(rateOf(10)), { db, clock, random: () => 0.5, onError });
  const first = async (): Promise<BookedPermit> => (await (await turns(db, 1)).book(1))[0]!;
  return { db, back, errors, turns, first, slowDown: () => void (onTheWay = takes(10)) };
}

const takes = (ms: number): Promise<string> =>
  new Promise((resolve) => setTimeout(() => resolve('accepted'), ms));

describe('a turn', () => {
  it('comes when its slot is there, not before', async () => {
    const turn = await world([250]).first();
    const came = vi.fn<(yes: boolean) => void>();
    void turn.come(open).then(came);
    await vi.advanceTimersByTimeAsync(249);
    expect(came).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(2);
    expect(came).toHaveBeenCalledWith(true);
  });

  it('is missed when the process stood still until its permit may be somebody else’s', async () => {
    const { first, back } = world([0]);
    const [one, other] = [await first(), await first()];
    vi.advanceTimersByTime(3_000);
    expect(await one.come(open)).toBe(true);
    vi.advanceTimersByTime(1);
    expect(await other.come(open)).toBe(false);
    expect(back).toEqual([[0]]); // not used: free since its slot
  });

  it('does not come to one that must stop; its permit is free for others', async () => {
    const { first, back } = world([300]);
    const turn = await first();
    const stop = new AbortController();
    const came = turn.come(stop.signal);
    stop.abort();
    expect([await came, back]).toEqual([false, [[0]]]);
  });

  it.each([
    [5, 1_040],
    [40, 1_040],
    [60, 1_060],
    [450, 1_450],
    [2_500, 3_000], // longer than anybody waits for the answer of one that is usually quick
  ])('after an answer in %d ms its permit is free %d ms after its slot', async (ms, free) => {
    const { first, back } = world([0]);
    const quick = (await first()).spend(takes(5));
    await vi.advanceTimersByTimeAsync(5);
    await quick;
    const turn = await first();
    const spent = turn.spend(takes(ms));
    await vi.advanceTimersByTimeAsync(ms);
    expect([await spent, back]).toEqual(['accepted', [[1_040], [free]]]);
  });

  it('with a provider that is never quick its start counts, not the answer', async () => {
    const { first, back } = world([0]);
    const opening = await Promise.all(Array.from({ length: 20 }, first));
    const opened = opening.map((turn) => turn.spend(takes(200)));
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(opened);
    expect(back.flat()).toEqual(opening.map(() => 1_200));
    back.length = 0;
    const [punctual, late] = [await first(), await first()];
    const both = [punctual.spend(takes(200))];
    await vi.advanceTimersByTimeAsync(25);
    both.push(late.spend(takes(200)));
    await vi.advanceTimersByTimeAsync(30);
    expect(back).toEqual([[1_040], [1_055]]);
    await vi.advanceTimersByTimeAsync(200);
    await Promise.all(both);
  });

  it('permits that come back while others are on the way go together', async () => {
    const { first, back, slowDown } = world([0]);
    const turns = [await first(), await first(), await first()];
    slowDown();
    const all = turns.map((turn) => turn.spend(takes(5)));
    await vi.advanceTimersByTimeAsync(20);
    await Promise.all(all);
    expect(back).toEqual([[1_040], [1_040, 1_040]]);
  });

  it('a handover that fails fails, and what cannot be told is heard of', async () => {
    const { first, db, errors } = world([0]);
    const turn = await first();
    db.executeSql = () => Promise.reject(new Error('away'));
    const failing = takes(60).then(() => Promise.reject(new Error('refused')));
    const [spent] = await Promise.all([
      Promise.allSettled([turn.spend(failing)]),
      vi.advanceTimersByTimeAsync(60),
    ]);
    expect(spent).toMatchObject([{ status: 'rejected', reason: { message: 'refused' } }]);
    expect(errors).toMatchObject([{ message: 'away' }]);
  });
});

it('whoever got fewer turns than he asked for rests: a part of the horizon, or until one is free', async () => {
  const some = world([0, 100]);
  expect(await some.turns(some.db, 2)).toMatchObject({ restMs: 0 });
  expect(await some.turns(some.db, 3)).toMatchObject({ restMs: 150 });
  const none = world([]);
  expect(await none.turns(none.db, 3)).toMatchObject({ count: 0, restMs: 700 });
});
