// What a worker knows of its queues' limits, and how often a relay notes them. Real: src/worker/limits.ts, src/queues/limited.ts. Doubled: time, and
// the database, which notes the values.

import { describe, expect, it } from 'vitest';
import type { Executor } from '../../src/db/executor.ts';
import { createLimitNotes } from '../../src/queues/limited.ts';
import { createKnownLimits } from '../../src/worker/limits.ts';

const textOf = (limits: object): string => JSON.stringify(limits);

describe('the limits that a worker knows', () => {
  it('are those of the last poll', () => {
    const limits = createKnownLimits(new Map(), 1_000);
    expect(limits.of('jobs')).toBeUndefined();
    limits.polled(new Map([['jobs', textOf({ concurrency: 5 })]]));
    const known = limits.of('jobs');
    expect(known).toEqual({ text: '{"concurrency":5}', limits: { concurrency: 5 } });
    limits.polled(new Map([['jobs', textOf({ concurrency: 5 })]]));
    expect(limits.of('jobs')).toBe(known); // it is not parsed again
    limits.polled(
      new Map([
        ['jobs', textOf({ concurrency: 6 })],
        ['email', textOf({})],
      ]),
    );
    expect([limits.of('jobs')?.limits, limits.of('email')?.limits]).toEqual([{ concurrency: 6 }, {}]);
    limits.polled(new Map([['email', textOf({})]]));
    expect([limits.of('jobs'), limits.of('email')?.limits]).toEqual([undefined, {}]);
  });

  it("L: of one process are those of the row, else the application's, else none", () => {
    const limits = createKnownLimits(new Map([['water', 2]]), 1_000);
    const none = Number.POSITIVE_INFINITY;
    expect([limits.perProcess('water'), limits.perProcess('jobs')]).toEqual([2, none]);
    for (const [row, its] of [
      [{ concurrencyPerProcess: 7 }, 7],
      [{ concurrencyPerProcess: null }, none],
      [{ concurrency: 9 }, none],
    ] as const) {
      limits.polled(new Map([['water', textOf(row)]]));
      expect(limits.perProcess('water')).toBe(its);
    }
  });
});

describe('a worker whose claim the limits left no place for', () => {
  const again = (gets: readonly number[], inHand = 0): unknown[] => {
    const limits = createKnownLimits(new Map(), 300);
    return gets.map((got) => limits.againMs('jobs', got, inHand));
  };

  it('claims again after 25 ms, then later each time, up to the poll interval, after which polls find the rest', () => {
    expect(again([0, 0, 0, 0, 0, 0, 0])).toEqual([25, 50, 100, 200, 300, undefined, 25]);
  });

  it('goes on at the poll interval while it has messages of the queue', () => {
    expect(again([0, 0, 0, 0, 0, 0, 0], 1)).toEqual([25, 50, 100, 200, 300, 300, 300]);
  });

  it('begins again with 25 ms after a claim that brought some', () => {
    expect(again([0, 0, 2, 0])).toEqual([25, 50, 25, 50]);
  });

  it('claims as soon as a message of that queue has ended, until it has come to rest', () => {
    const limits = createKnownLimits(new Map(), 25);
    expect(limits.isCrowded('jobs')).toBe(false);
    limits.againMs('jobs', 0, 0);
    expect([limits.isCrowded('jobs'), limits.isCrowded('email')]).toEqual([true, false]);
    expect(limits.againMs('jobs', 0, 0)).toBeUndefined();
    expect(limits.isCrowded('jobs')).toBe(false);
  });
});

describe('what waits for limits', () => {
  it('is noted for each queue with due messages, once a second', async () => {
    const noted: unknown[] = [];
    const db: Executor = {
      executeSql: async (_sql, values) => (noted.push(values), { rows: [] }),
    };
    let now = 0;
    const note = createLimitNotes(db, { now: () => now });
    await note([]);
    await note(['jobs', 'email', 'jobs']);
    now = 999;
    await note(['jobs']);
    expect(noted).toEqual([[['jobs', 'email']]]);
    now = 1_000;
    await note(['jobs']);
    expect(noted).toEqual([[['jobs', 'email']], [['jobs']]]);
  });
});
