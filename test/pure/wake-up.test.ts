// Wake-ups: how the relay divides a backlog into them, and how a worker reads a job of pg-boss that anybody may have written. All of it is pure.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dataOf, fromData, wakeUpsFor } from '../../src/queue/wake-up.ts';

const place = fc.record({
  queue: fc.string({ minLength: 1 }),
  priority: fc.integer({ min: -1_000, max: 1_000 }),
});

describe('the wake-ups of a backlog', () => {
  it('stand for exactly its messages, in at most eight, each of its queue and priority and none empty', () => {
    fc.assert(
      fc.property(place, fc.oneof(fc.nat(40), fc.nat(1_000_000)), (where, messages) => {
        const wakeUps = wakeUpsFor(where, messages);
        expect(wakeUps.reduce((sum, one) => sum + one.messages, 0)).toBe(messages);
        expect(wakeUps.length).toBeLessThanOrEqual(8);
        for (const one of wakeUps) expect(one).toMatchObject(where);
        for (const one of wakeUps) expect(one.messages).toBeGreaterThan(0);
      }),
    );
  });

  it('grow with it: one message each while it is small, an eighth of it each from then on', () => {
    const sizes = (messages: number): number[] =>
      wakeUpsFor({ queue: 'jobs', priority: 0 }, messages).map((one) => one.messages);
    expect(wakeUpsFor({ queue: 'jobs', priority: 0 }, 1)).toMatchObject([{ isGrouped: false }]);
    expect([0, 1, 3].map(sizes)).toEqual([[], [1], [1, 1, 1]]);
    expect(sizes(8)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    expect(sizes(9)).toEqual([2, 2, 2, 2, 1]);
    expect(sizes(800)).toEqual(Array.from({ length: 8 }, () => 100));
  });
});

describe('the data of a job', () => {
  it('gives a number of messages above 0, or nothing', () => {
    fc.assert(
      fc.property(fc.anything(), (data) => {
        const told = fromData(data);
        if (told) expect(Number.isSafeInteger(told.messages) && told.messages > 0).toBe(true);
      }),
    );
    for (const messages of [1, 17, 1_000_000])
      for (const isGrouped of [false, true])
        expect(fromData({ ...dataOf({ queue: 'q', priority: 0, messages, isGrouped }), more: true })).toEqual(
          {
            messages,
            isGrouped,
          },
        );
  });

  it('gives nothing where somebody wrote something else', () => {
    for (const data of [null, undefined, 5, 'five', [], [7], {}, { any: 5 }, { ids: ['a'] }])
      expect(fromData(data)).toBeUndefined();
    for (const messages of [
      0,
      -1,
      1.5,
      1e300,
      2 ** 53,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '5',
      null,
      [5],
      {},
    ])
      expect(fromData({ messages })).toBeUndefined();
  });
});
