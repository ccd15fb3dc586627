import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DueMessage } from '../../src/outbox/due.ts';
import { pack } from '../../src/relay/pack.ts';
import { remainder } from '../../src/worker/claim.ts';

const message: fc.Arbitrary<DueMessage> = fc.record({
  id: fc.uuid(),
  queue: fc.constantFrom('email', 'jobs', 'events'),
  priority: fc.integer({ min: -1, max: 1 }),
  attempts: fc.integer({ min: 0, max: 2 }),
  expirations: fc.constantFrom(0, 0, 1),
  lag: fc.constant(0),
});
const due = fc.uniqueArray(message, { selector: (m) => m.id, maxLength: 300 });
const options = fc.record({
  limit: fc.integer({ min: 1, max: 50 }),
  spread: fc.integer({ min: 1, max: 20 }),
});

describe('pack', () => {
  it('puts every message into exactly one parcel of its queue and priority', () => {
    fc.assert(
      fc.property(due, options, (messages, how) => {
        const parcels = pack(messages, how);
        expect(parcels.flatMap((p) => p.ids).toSorted()).toEqual(messages.map((m) => m.id).toSorted());
        const byId = new Map(messages.map((m) => [m.id, m]));
        for (const parcel of parcels)
          for (const id of parcel.ids)
            expect(byId.get(id)).toMatchObject({ queue: parcel.queue, priority: parcel.priority });
      }),
    );
  });

  it('F: a message with an attempt behind it travels alone, and one whose worker died wants the worker for itself', () => {
    fc.assert(
      fc.property(due, options, (messages, how) => {
        const byId = new Map(messages.map((m) => [m.id, m]));
        for (const parcel of pack(messages, how)) {
          const its = parcel.ids.map((id) => byId.get(id)!);
          if (its.some((m) => m.attempts > 0)) expect(its).toHaveLength(1);
          expect(parcel.alone ?? false).toBe(its.some((m) => m.attempts > 0 && m.expirations > 0));
        }
      }),
    );
  });

  it('a parcel grows with the backlog, up to its limit', () => {
    const backlog = (n: number): DueMessage[] =>
      Array.from({ length: n }, (_, i) => ({
        id: String(i),
        queue: 'q',
        priority: 0,
        attempts: 0,
        expirations: 0,
        lag: 0,
      }));
    const largest = (n: number): number =>
      Math.max(...pack(backlog(n), { limit: 50, spread: 10 }).map((p) => p.ids.length));
    expect([1, 10, 11, 100, 500, 5_000].map(largest)).toEqual([1, 1, 2, 10, 50, 50]);
  });

  it('what a worker cannot start goes back whole, in order', () => {
    fc.assert(
      fc.property(due, options, fc.nat(310), (messages, how, taken) => {
        const parcels = pack(messages, how);
        const left = remainder(parcels, taken);
        expect(left.flatMap((p) => p.ids)).toEqual(parcels.flatMap((p) => p.ids).slice(taken));
        expect(left.every((p) => p.ids.length > 0)).toBe(true);
      }),
    );
  });
});
