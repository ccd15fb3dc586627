import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Executor, SqlResult } from '../../src/db/executor.ts';
import { createBookmarks } from '../../src/worker/bookmarks.ts';
import { openParcels } from '../../src/worker/opening.ts';

type Waiting = { readonly id: string; readonly due: number; readonly since: number };

/** A lane without a database: it claims as claimLaneSql does, and each claim takes its time. */
function world() {
  let now = 0;
  let made = 0;
  const clock = { now: () => now };
  let lane: Waiting[] = [];
  const begins: (number | null)[] = [];
  const tx: Executor = {
    async executeSql<R>(_: string, values: unknown[] = []): Promise<SqlResult<R>> {
      if (values.length !== 7) return { rows: [] as R[] }; // what has an attempt behind it: nothing here
      const [limit, , , , , from] = values as [number, string, number, number, string, number | null];
      begins.push(from);
      now += 2;
      const taken = lane
        .filter(({ due }) => due >= (from ?? -1))
        .toSorted((a, b) => a.due - b.due)
        .slice(0, limit);
      lane = lane.filter((one) => !taken.includes(one));
      return { rows: taken.map(({ id, due }) => ({ id, due, lag: 0, created: 0 })) as R[] };
    },
  };
  const worker = () => {
    const ports = { workerId: 'w', leaseMs: 15_000, bookmarks: createBookmarks(clock) };
    const parcel = { queue: 'jobs', priority: 0, ids: [], any: 250 };
    return async (limit: number): Promise<string[]> =>
      (await openParcels(tx, [parcel], limit, ports)).claimed.map(({ message }) => message.id);
  };
  return {
    worker,
    begins,
    waiting: () => lane,
    pass: (ms: number) => void (now += ms),
    now: () => now,
    /** Becomes visible now; due so many seconds ago. */
    commit: (ago: number) => void lane.push({ id: String(made++), due: 10_000 + now - ago, since: now }),
  };
}

const step = fc.oneof(
  fc.record({ commit: fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 12 }) }),
  fc.record({ pass: fc.integer({ min: 0, max: 3_000 }) }),
  fc.record({ claim: fc.integer({ min: 1, max: 6 }), by: fc.integer({ min: 0, max: 1 }) }),
);

describe('bookmarks', () => {
  it('B: nothing stays behind one, and nothing waits behind one for more than 5 s while later messages go', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (script) => {
        const it = world();
        const claims = [it.worker(), it.worker()];
        for (const one of script) {
          if ('commit' in one) for (const ago of one.commit) it.commit(ago);
          else if ('pass' in one) it.pass(one.pass);
          else {
            const before = it.waiting();
            const began = it.now();
            const taken = await claims[one.by]!(one.claim);
            const dues = before.filter(({ id }) => taken.includes(id)).map(({ due }) => due);
            const overdue = it.waiting().filter(({ since }) => began - since >= 5_000);
            for (const { due } of overdue) expect(Math.max(...dues)).toBeLessThanOrEqual(due);
          }
        }
        while (it.waiting().length > 0) expect(await claims[0]!(3)).not.toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('I: claims begin where the last one ended, and at the beginning again after a while', async () => {
    const { worker, commit, pass, begins } = world();
    const claim = worker();
    for (let ago = 100; ago > 0; ago--) commit(ago);
    await claim(10);
    await claim(10);
    expect(begins).toEqual([null, 9_909]);
    pass(250);
    await claim(10);
    expect(begins.slice(2)).toEqual([null]);
  });

  it('B: where a lane seems to end, its beginning is looked at at once', async () => {
    const { worker, commit, begins } = world();
    const claim = worker();
    commit(2);
    await claim(1);
    commit(9); // its transaction was slow
    commit(1);
    expect(await claim(5)).toEqual(['2', '1']);
    expect(begins).toEqual([null, 9_998, null]);
    commit(9);
    await claim(1);
    expect(begins.slice(3)).toEqual([null]);
  });
});
