// The rate of a queue: its plan, the slots of its permits, and what the statements are given. Doubled: the database, which notes the values.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { rateOf } from '../../src/queues/limits.ts';
import {
  assignSlots,
  lockPermits,
  makePermits,
  mostAtOnce,
  nextPermitIn,
  planRate,
  returnPermits,
} from '../../src/queues/rate.ts';

const rates = fc.double({ min: 0.01, max: 1e6, noNaN: true });

describe('the plan of a rate', () => {
  it.each([
    [10, { permits: 10, windowMs: 1_000, marginMs: 40, horizonMs: 400, burst: 1 }],
    [2.5, { permits: 3, windowMs: 1_200, marginMs: 40, horizonMs: 400, burst: 1 }],
    [0.5, { permits: 1, windowMs: 2_000, marginMs: 40, horizonMs: 400, burst: 1 }],
    [5_000, { permits: 1_000, windowMs: 200, marginMs: 8, horizonMs: 80, burst: 1 }],
  ])('%d a second', (rate, plan) => {
    expect(planRate(rateOf(rate))).toEqual(plan);
  });

  it('has the burst of its rate, as far as it has permits', () => {
    const burst = (limit: number, its: number): number => planRate({ limit, ms: 1_000, burst: its }).burst;
    expect([burst(10, 5), burst(5_000, 2_000)]).toEqual([5, 1_000]);
  });

  it('gives a claim the permits of its horizon, and one at least', () => {
    expect([20, 0.5, 5_000].map((rate) => mostAtOnce(planRate(rateOf(rate))))).toEqual([7, 1, 384]);
  });

  it('its permits are the rate, less at most 4 %', () => {
    fc.assert(
      fc.property(rates, (rate) => {
        const { permits, windowMs, marginMs } = planRate(rateOf(rate));
        expect((permits / windowMs) * 1_000).toBeCloseTo(rate, 6);
        expect((permits / (windowMs + marginMs)) * 1_000).toBeGreaterThanOrEqual(rate * 0.9599);
      }),
    );
  });
});

describe('slots', () => {
  const free = fc.array(fc.double({ min: -1e12, max: 400, noNaN: true }), { maxLength: 60 });

  it('lie between now and the horizon, none before its permit is free, each permit once', () => {
    fc.assert(
      fc.property(rates, free, fc.double({ min: -1e9, max: 400, noNaN: true }), (rate, times, last) => {
        const plan = planRate(rateOf(rate));
        const permits = times.toSorted((a, b) => a - b).map((freeIn, n) => ({ n, freeIn }));
        const slots = assignSlots(permits, last, plan);
        expect(new Set(slots.map(({ n }) => n)).size).toBe(slots.length);
        for (const { n, wait } of slots) {
          expect(wait).toBeGreaterThanOrEqual(Math.max(0, permits[n]!.freeIn));
          expect(wait).toBeLessThanOrEqual(plan.horizonMs);
        }
        expect(slots.map(({ wait }) => wait)).toEqual(
          slots.map(({ wait }) => wait).toSorted((a, b) => a - b),
        );
      }),
    );
  });

  it('after an idle time the first goes at once and the others follow evenly', () => {
    const plan = planRate(rateOf(20));
    const idle = Array.from({ length: mostAtOnce(plan) }, (_, n) => ({ n, freeIn: -1e9 }));
    expect(assignSlots(idle, -1e9, plan).map(({ wait }) => wait)).toEqual([0, 52, 104, 156, 208, 260, 312]);
    expect(assignSlots(idle, 300, plan).map(({ wait }) => wait)).toEqual([352]); // behind what others booked
  });

  it('a permit that was booked a little late loses no more than that', () => {
    expect(assignSlots([{ n: 0, freeIn: -20 }], 350, planRate(rateOf(20)))).toEqual([{ n: 0, wait: 0 }]);
  });

  it('a permit that was idle for an eighth of its cycle waits behind the last slot that is booked', () => {
    const plan = planRate(rateOf(20)); // a cycle of 1,040 ms
    const wait = (freeIn: number, last = 100) => assignSlots([{ n: 0, freeIn }], last, plan);
    expect([wait(-129), wait(-130)]).toEqual([[{ n: 0, wait: 0 }], [{ n: 0, wait: 152 }]]);
    expect([wait(400), wait(401), wait(-1e9, 349)]).toEqual([[{ n: 0, wait: 400 }], [], []]);
  });

  it('as many idle permits as the burst allows get the same slot', () => {
    const plan = planRate({ limit: 20, ms: 1_000, burst: 3 });
    const idle = Array.from({ length: 5 }, (_, n) => ({ n, freeIn: -1e9 }));
    expect(assignSlots(idle, -1e9, plan).map(({ wait }) => wait)).toEqual([0, 0, 0, 52, 104]);
    expect(assignSlots(idle, -60, plan).map(({ wait }) => wait)).toEqual([0, 44, 96, 148, 200]);
  });

  it('are in the order of time, whatever the order of the permits', () => {
    const permits = [
      { n: 0, freeIn: -1e9 },
      { n: 1, freeIn: 50 },
    ];
    expect(assignSlots(permits, 100, planRate(rateOf(20))).map(({ n }) => n)).toEqual([1, 0]);
  });
});

/** A database that answers each statement with these rows, and notes the values. */
function database(...answers: readonly (readonly object[])[]) {
  const values: unknown[] = [];
  const db: Executor = {
    async executeSql<Row>(_sql: string, given: readonly unknown[] = []) {
      values.push(given);
      return { rows: (answers[values.length - 1] ?? []) as Row[] };
    },
  };
  return { db, values };
}

describe('the permits of a claim', () => {
  const plan = planRate(rateOf(20));
  const free = [
    { n: 4, freeIn: 0, lastIn: -1e9, at: 'then' },
    { n: 2, freeIn: 300, lastIn: -1e9, at: 'then' },
  ];

  it('are as many as it wants, up to those of the horizon', async () => {
    for (const [want, limit] of [
      [3, 3],
      [20, 7],
    ] as const) {
      const { db, values } = database(free);
      expect((await lockPermits(db, 'email', plan, want)).scarce).toBe(true);
      expect(values).toEqual([['email', 20, 400, limit, null]]);
    }
    expect((await lockPermits(database(free).db, 'email', plan, 2)).scarce).toBe(false);
    expect(await lockPermits(database().db, 'email', plan, 2)).toMatchObject({ slots: [], scarce: true });
  });

  it('are booked for their slots, until a grace period after their cycle', async () => {
    const { db, values } = database(free, [
      { n: 2, slotAt: 'late' },
      { n: 4, slotAt: 'soon' },
    ]);
    const { book } = await lockPermits(db, 'email', plan, 2, new Date(5));
    expect(values[0]).toEqual(['email', 20, 400, 2, new Date(5)]);
    expect(await book(0)).toEqual([]);
    expect(values).toHaveLength(1);
    expect(await book(2)).toEqual([
      { n: 4, wait: 0, slotAt: 'soon' },
      { n: 2, wait: 300, slotAt: 'late' },
    ]);
    expect(values[1]).toEqual(['email', [4, 2], [0, 300], 'then', 7_040]);
  });

  it('become free at their slot when they were not used, else a window later, with the margin or what they were late', async () => {
    const { db, values } = database();
    const permit = { n: 4, wait: 0, slotAt: 'soon' };
    const returns = [null, 0, 40, 55].map((late) => ({ permit, late }));
    await returnPermits(db, 'email', plan, returns);
    expect(values).toEqual([
      ['email', [4, 4, 4, 4], Array.from({ length: 4 }, () => 'soon'), [0, 1_040, 1_040, 1_055]],
    ]);
  });

  it('can be booked again a cycle less the horizon after their slot', async () => {
    const { db, values } = database([{ ms: 12 }], [{ ms: null }], []);
    const next = async (): Promise<number> => nextPermitIn(db, 'email', plan);
    expect([await next(), await next(), await next()]).toEqual([12, 0, 0]);
    expect(values[0]).toEqual(['email', 20, 640]);
  });

  it('are made once for each of the rate', async () => {
    const { db, values } = database();
    await makePermits(db, 'email', plan);
    expect(values).toEqual([['email', 20]]);
  });
});
