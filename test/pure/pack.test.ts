import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DueMessage } from '../../src/outbox/due.ts';
import { pack } from '../../src/queue/pack.ts';
import { remainder } from '../../src/queue/parcel.ts';
import { startable } from '../../src/worker/limits.ts';

const message: fc.Arbitrary<DueMessage> = fc.record({
  id: fc.uuid(),
  queue: fc.constantFrom('email', 'jobs', 'events'),
  priority: fc.integer({ min: -1, max: 1 }),
  attempts: fc.integer({ min: 0, max: 2 }),
  expirations: fc.constantFrom(0, 0, 1, 2),
  maxAttempts: fc.constantFrom(3, 10),
  traceparent: fc.constant(null),
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

  it('F: what has an attempt behind it has a parcel of its own, and what its worker died with twice wants a worker for itself', () => {
    fc.assert(
      fc.property(due, options, (messages, how) => {
        const byId = new Map(messages.map((m) => [m.id, m]));
        for (const parcel of pack(messages, how)) {
          const its = parcel.ids.map((id) => byId.get(id)!);
          if (its.some((m) => m.attempts + m.expirations > 0)) expect(its).toHaveLength(1);
          const isSuspect = (m: DueMessage): boolean =>
            m.expirations > 1 || (m.expirations === 1 && m.attempts === m.maxAttempts - 1);
          expect(parcel.alone ?? false).toBe(its.some(isSuspect));
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
        maxAttempts: 10,
        traceparent: null,
        lag: 0,
      }));
    const largest = (n: number): number =>
      Math.max(...pack(backlog(n), { limit: 50, spread: 10 }).map((p) => p.ids.length));
    expect([1, 10, 11, 100, 500, 5_000].map(largest)).toEqual([1, 1, 2, 10, 50, 50]);
  });

  it('what a worker cannot start goes back whole, in order', () => {
    fc.assert(
      fc.property(due, options, fc.nat(310), (messages, how, free) => {
        const parcels = pack(messages, how);
        const offered = parcels.flatMap((p) => p.ids);
        const { ids, heldBack } = startable(offered, { parcels: 1, free }, new Map());
        const left = remainder(parcels, new Set(ids));
        expect([...ids, ...left.flatMap((p) => p.ids)]).toEqual(offered);
        expect(ids).toHaveLength(Math.min(free, offered.length));
        expect(heldBack).toBe(0);
        expect(left.every((p) => p.ids.length > 0)).toBe(true);
      }),
    );
  });

  it('of a job with a limit no more starts than has room, and its neighbours take the places', () => {
    const jobs = fc.array(fc.constantFrom('a', 'b', undefined), { maxLength: 60 });
    fc.assert(
      fc.property(
        jobs,
        fc.nat(70),
        fc.integer({ min: -2, max: 9 }),
        fc.nat(9),
        (names, free, roomA, roomB) => {
          const offered = names.map((_, i) => String(i));
          const jobOf = new Map(names.flatMap((name, i) => (name === undefined ? [] : [[String(i), name]])));
          const room = new Map([
            ['a', roomA],
            ['b', roomB],
          ]);
          const { ids } = startable(offered, { parcels: 1, free, room }, jobOf);
          const of = (name: string | undefined, all: readonly string[]) =>
            all.filter((id) => jobOf.get(id) === name).length;
          const startableAtAll =
            of(undefined, offered) +
            Math.min(Math.max(0, roomA), of('a', offered)) +
            Math.min(roomB, of('b', offered));
          expect(of('a', ids)).toBeLessThanOrEqual(Math.max(0, roomA));
          expect(of('b', ids)).toBeLessThanOrEqual(roomB);
          expect(ids).toHaveLength(Math.min(free, startableAtAll));
        },
      ),
    );
  });
});
