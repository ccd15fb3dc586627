import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rateOf } from '../../src/queues/limits.ts';
import { assignSlots, mostAtOnce, planRate } from '../../src/queues/rate.ts';

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
});
