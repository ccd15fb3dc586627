// How long deliveries and claims take, and what follows for how much a worker takes at a time. All of it is pure.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPace } from '../../src/worker/pace.ts';

const slots = fc.integer({ min: 1, max: 500 });
const took = fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 300 });
const steady = fc.double({ min: 0.01, max: 5_000, noNaN: true });
const lease = 15_000;

function paceOf(size: number, deliveries: readonly number[], claims: readonly number[] = []) {
  const pace = createPace(size, lease);
  for (const ms of deliveries) pace.delivered(ms);
  for (const ms of claims) pace.claimed(ms);
  return pace;
}

/** Deliveries that all took `ms`. */
const steadyPace = (size: number, ms: number, claims: readonly number[] = []) =>
  paceOf(
    size,
    Array.from({ length: 2_000 }, () => ms),
    claims,
  );

const times = (count: number, at: number): number[] => Array.from({ length: count }, () => at);

describe('pace', () => {
  it('before anything was measured, nothing is taken that no slot could start', () => {
    const pace = createPace(25, lease);
    pace.claimed(10);
    expect(pace.ahead(times(25, 0), 5)).toBe(0);
    expect(pace.aheadIn(1, times(25, 0), 5)).toBe(Number.POSITIVE_INFINITY);
    expect([pace.inFlight(), pace.batch(), pace.gather()]).toEqual([50, 1, 0]);
  });

  it('D: never more in flight than twice the slots, or 1,000 where deliveries are short', () => {
    fc.assert(
      fc.property(slots, took, took, (size, deliveries, claims) => {
        const pace = paceOf(size, deliveries, claims);
        expect(pace.inFlight()).toBeGreaterThanOrEqual(2 * size);
        expect(pace.inFlight()).toBeLessThanOrEqual(Math.max(2 * size, 1_000));
        expect(pace.ahead(times(size, 0), 1)).toBeLessThanOrEqual(1_000);
      }),
    );
  });

  it('D: where deliveries take 4 ms or more, twice the slots at most, however they vary', () => {
    fc.assert(
      fc.property(
        slots,
        fc.array(fc.double({ min: 4, max: 5_000, noNaN: true }), { minLength: 1 }),
        (size, deliveries) => {
          expect(paceOf(size, deliveries).inFlight()).toBe(2 * size);
        },
      ),
    );
  });

  it('what is claimed ahead can start within a hundredth of the lease', () => {
    fc.assert(
      fc.property(
        slots,
        steady,
        took,
        fc.array(fc.integer({ min: 0, max: 5_000 })),
        (size, ms, claims, ago) => {
          const pace = steadyPace(size, ms, claims);
          const began = ago.slice(0, size).map((each) => -each);
          const within = (lease / 100) * 1.01;
          const ahead = pace.ahead(began, 0);
          const soon = began.filter((at) => at + ms <= within).length; // each frees its slot once
          expect(ahead).toBeLessThanOrEqual(Math.max(soon, (size * within) / ms));
        },
      ),
    );
  });

  it('a claim is made ahead shortly before slots free, not as soon as they are taken', () => {
    const pace = steadyPace(25, 200, [10, 10]);
    const began = times(25, 0);
    expect(pace.ahead(began, 5)).toBe(0);
    const ms = pace.aheadIn(25, began, 5);
    expect(ms).toBeGreaterThan(100);
    expect(ms).toBeLessThan(190);
    expect(pace.ahead(began, 5 + ms)).toBe(25);
  });

  it('what a loop waits for has come then, but for deliveries that are late by then; and it does not wait for it twice', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 4, max: 250, noNaN: true }),
        took,
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 25 }),
        (ms, claims, ago, count) => {
          const pace = steadyPace(25, ms, claims);
          const began = ago.map((each) => -each).toSorted((a, b) => a - b);
          const wait = pace.aheadIn(count, began, 0);
          fc.pre(wait !== Number.POSITIVE_INFINITY);
          expect(wait).toBeGreaterThan(0);
          const late = began.filter((at) => wait + 0.001 - at > ms + Math.max(10, ms / 2)).length;
          const most = 2 * late > began.length; // then nothing is claimed ahead
          expect(pace.ahead(began, wait + 0.001)).toBeGreaterThanOrEqual(most ? 0 : count - late);
          if (late === 0) expect(pace.aheadIn(count, began, wait + 0.001)).toBe(Number.POSITIVE_INFINITY);
        },
      ),
    );
  });

  it('nothing is claimed ahead of deliveries that take much longer than those before them', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 250, noNaN: true }), (ms) => {
        const pace = steadyPace(25, ms, [10]);
        expect(pace.ahead(times(25, 0), 1.5 * ms + 11)).toBe(0);
      }),
    );
  });

  it('when most deliveries are late, nothing is claimed ahead of the others either', () => {
    const pace = steadyPace(25, 200, [10]);
    const [late, timely] = [times(13, -320), times(12, -10)];
    expect(pace.ahead([...late, ...timely], 185)).toBe(0);
    expect(pace.ahead([...late.slice(2), ...timely, ...timely.slice(10)], 185)).toBe(14);
  });

  it('deliveries of a second are not claimed ahead, however slow the claims', () => {
    const pace = steadyPace(25, 1_000, [30, 12, 18]);
    expect(pace.ahead(times(25, 0), 995)).toBe(0);
    expect(pace.batch()).toBe(1);
  });

  it('deliveries that do nothing are claimed ahead by hundreds', () => {
    const pace = steadyPace(25, 0.2, [20]);
    expect([pace.inFlight(), pace.ahead([], 0)]).toEqual([1_000, 1_000]);
    expect(pace.isShort()).toBe(true);
  });

  it('of short deliveries those of 5 ms are written down together before they begin; of longer ones each for itself', () => {
    expect(steadyPace(25, 0.2).marks()).toBeGreaterThanOrEqual(600);
    expect(steadyPace(25, 0.2).marks()).toBeLessThanOrEqual(1_000);
    expect([steadyPace(25, 4).marks(), createPace(25, lease).marks()]).toEqual([0, 0]);
  });

  it('after something found no slot in time, nothing is claimed ahead for a second', () => {
    const pace = steadyPace(25, 0.2, [20]);
    pace.shed(100);
    expect([pace.ahead([], 1_099), pace.ahead([], 1_100)]).toEqual([0, 1_000]);
  });

  it('the end of a delivery waits for others no longer than a fifth of it, and 10 ms; of a short one not at all', () => {
    fc.assert(
      fc.property(steady, (ms) => {
        const gather = steadyPace(25, ms).gather();
        expect(gather).toBeLessThanOrEqual(Math.min(10, (ms / 5) * 1.01));
        if (ms < 3.9) expect(gather).toBe(0);
      }),
    );
  });
});

/** Deliveries that all took exactly `ms`, at least 4. */
const exact = (size: number, ms: number, claims: readonly number[] = [], leaseMs = lease) => {
  const pace = createPace(size, leaseMs);
  pace.delivered(ms);
  for (const each of claims) pace.claimed(each);
  return pace;
};

describe('in figures', () => {
  it('the first delivery counts as 4 ms at least, because it says little; each further one counts a 64th', () => {
    expect([exact(25, 1).isShort(), exact(25, 1).gather()]).toEqual([false, 0.8]);
    expect(paceOf(25, [10]).gather()).toBe(2);
    expect(paceOf(25, [10, 74]).gather()).toBeCloseTo(2.2, 12);
    expect(paceOf(25, [1, 1]).isShort()).toBe(true);
  });

  it('a claim counts an eighth of those before it', () => {
    const waitFor = (claims: number[]): number => exact(25, 200, claims).aheadIn(1, [0], 0);
    expect([waitFor([]), waitFor([10]), waitFor([10, 18])]).toEqual([175, 155, 153]);
  });

  it('short is less than 4 ms: up to 20 ms of deliveries in flight, 5 ms of them marked together, 1,000 at most', () => {
    const figures = (size: number, ms: number): (number | boolean)[] => {
      const pace = steadyPace(size, ms);
      return [pace.isShort(), pace.inFlight(), pace.marks()];
    };
    expect(figures(25, 4)).toEqual([false, 50, 0]);
    expect(figures(25, 3)).toEqual([true, 166, 41]);
    expect(figures(25, 0.3)).toEqual([true, 1_000, 416]);
    expect(figures(25, 0.1)).toEqual([true, 1_000, 1_000]);
    expect(figures(700, 3)).toEqual([true, 1_400, 1_000]);
  });

  it('a slot that frees within two claims and 25 ms, or half a delivery, may be claimed for', () => {
    const slow = exact(25, 200, [10]); // 45 ms
    expect([slow.ahead(times(25, 0), 154.9), slow.ahead(times(25, 0), 155)]).toEqual([0, 25]);
    const quick = exact(25, 8); // 4 ms
    expect([quick.ahead(times(3, 0), 3.9), quick.ahead(times(3, 0), 4)]).toEqual([0, 3]);
  });

  it('deliveries that end within that time are claimed for by their number in it, without those that are late', () => {
    const pace = exact(25, 20, [10]); // 30 ms
    expect([pace.ahead([], 0), pace.batch()]).toEqual([37, 19]);
    expect(pace.ahead([...times(5, -31), ...times(20, 0)], 0)).toBe(30);
    expect(exact(25, 40, [10]).ahead([], 0)).toBe(25); // 40 ms
  });

  it('a hundredth of the lease is the most of that time', () => {
    expect(exact(25, 200, [100]).aheadIn(1, [0], 0)).toBe(50);
    expect(exact(25, 200, [100], 9_000).aheadIn(1, [0], 0)).toBe(110);
  });

  it('long is more than 250 ms', () => {
    const ahead = (ms: number) => exact(25, ms, [50]);
    expect([ahead(250).ahead(times(25, 0), 240), ahead(251).ahead(times(25, 0), 241)]).toEqual([25, 0]);
    expect([ahead(250).batch(), ahead(251).batch(), exact(1, 250).batch()]).toEqual([6, 1, 1]);
    expect([ahead(250).aheadIn(1, [0], 0), ahead(251).aheadIn(1, [0], 0)]).toEqual([
      125,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it('late is more than half a delivery over time, and more than 10 ms', () => {
    for (const [ms, last] of [
      [200, 300],
      [8, 18],
    ] as const) {
      const pace = exact(25, ms, []);
      expect([pace.ahead(times(4, 0), last), pace.ahead(times(4, 0), last + 0.1)]).toEqual([4, 0]);
    }
  });

  it('as many late ones as others say nothing against the others', () => {
    const pace = exact(25, 200, [10]);
    expect(pace.ahead([-200, 0], 160)).toBe(1);
    expect(pace.ahead([-200, -200, 0], 160)).toBe(0);
    expect(exact(1_500, 200, [10]).ahead(times(1_500, 0), 160)).toBe(1_000);
  });

  it('the wait for so many slots is that for the last of them, without those that are late', () => {
    const pace = exact(25, 200, [10]);
    const began = [-320, 0, 10];
    const wait = (count: number, now = 0): number => pace.aheadIn(count, began, now);
    expect([wait(1), wait(2)]).toEqual([155, 165]);
    const never = Number.POSITIVE_INFINITY;
    expect([wait(0), wait(3), wait(1, 155), wait(1, 154)]).toEqual([never, never, never, 1]);
    for (const ms of [20, 40]) expect(exact(25, ms, [10]).aheadIn(1, [30], 0)).toBe(never); // claimed for by number
  });

  it('the end of a delivery waits for others a fifth of it, and 10 ms at most', () => {
    expect([4, 20, 50, 51].map((ms) => exact(25, ms).gather())).toEqual([0.8, 4, 10, 10]);
  });
});
