import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPace } from '../../src/worker/pace.ts';

const slots = fc.integer({ min: 1, max: 500 });
const took = fc.array(fc.double({ min: 0, max: 5_000, noNaN: true }), { maxLength: 300 });
const lease = 15_000;

function paceOf(size: number, deliveries: readonly number[], claims: readonly number[] = []) {
  const pace = createPace(size, lease);
  for (const ms of deliveries) pace.delivered(ms);
  for (const ms of claims) pace.claimed(ms);
  return pace;
}

describe('pace', () => {
  it('before anything was measured, nothing is taken that no slot could start', () => {
    const pace = createPace(25, lease);
    expect([pace.inFlight(), pace.ahead()]).toEqual([25, 0]);
    pace.claimed(10);
    expect(pace.ahead()).toBe(0);
  });

  it('never fewer in flight than slots, never more than 500 beyond what slots there are', () => {
    fc.assert(
      fc.property(slots, took, took, (size, deliveries, claims) => {
        const pace = paceOf(size, deliveries, claims);
        expect(pace.inFlight()).toBeGreaterThanOrEqual(size);
        expect(pace.inFlight()).toBeLessThanOrEqual(Math.max(size, 500));
        expect(pace.ahead()).toBeLessThanOrEqual(500);
      }),
    );
  });

  it('D: where deliveries take 4 ms or more, no more is in flight than there are slots', () => {
    fc.assert(
      fc.property(
        slots,
        fc.array(fc.double({ min: 4, max: 5_000, noNaN: true }), { minLength: 1 }),
        (size, deliveries) => {
          expect(paceOf(size, deliveries).inFlight()).toBe(size);
        },
      ),
    );
  });

  it('what is claimed ahead can start within a hundredth of the lease', () => {
    fc.assert(
      fc.property(slots, fc.double({ min: 0.01, max: 5_000, noNaN: true }), took, (size, ms, claims) => {
        const pace = paceOf(
          size,
          Array.from({ length: 2_000 }, () => ms),
          claims,
        );
        expect((pace.ahead() / size) * ms).toBeLessThanOrEqual((lease / 100) * 1.01);
      }),
    );
  });

  it('deliveries of a second are not claimed ahead, however slow the claims', () => {
    const pace = paceOf(
      25,
      Array.from({ length: 100 }, () => 1_000),
      [30, 12, 18],
    );
    expect(pace.ahead()).toBe(0);
  });

  it('deliveries that do nothing are claimed ahead by hundreds', () => {
    const pace = paceOf(
      25,
      Array.from({ length: 1_000 }, () => 0.2),
      [20],
    );
    expect([pace.inFlight(), pace.ahead()]).toEqual([500, 500]);
  });
});
