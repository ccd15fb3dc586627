// The settler. Real: src/worker/settler.ts. Doubled: the outbox, which remembers what it was to write, and pauses, which the tests end.

import { describe, expect, it } from 'vitest';
import type { Settlement } from '../../src/message/outcome.ts';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import { createSettler } from '../../src/worker/settler.ts';

const ended = (id: string): Settlement => ({ id, claimToken: id, to: 'delivered', then: [], notes: [] });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** Writes nothing, and remembers what was to be written. */
function world(gather: () => number) {
  const batches: string[][] = [];
  const pauses: { ms: number; over: () => void }[] = [];
  const settler = createSettler({
    outbox: {
      ...createMemoryOutbox(),
      async settle(settlements) {
        batches.push(settlements.map(({ id }) => id));
        return settlements.map(({ id }) => ({ id, status: 'delivered' as const, seconds: 1 }));
      },
    },
    onRetry: () => undefined,
    pause: (ms) => new Promise((over) => void pauses.push({ ms, over })),
    gather,
  });
  return { settler, batches, pauses };
}

describe('a batch of settlements', () => {
  it('holds what ends in one turn, and at once when nothing is to be gathered', async () => {
    const { settler, batches, pauses } = world(() => 0);
    await Promise.all(['a', 'b', 'c'].map((id) => settler.settle(ended(id))));
    expect(batches).toEqual([['a', 'b', 'c']]);
    expect(pauses).toEqual([]);
  });

  it('waits for others when there are some to come, and then holds all of them', async () => {
    const { settler, batches, pauses } = world(() => 8);
    const first = settler.settle(ended('a'));
    await turn();
    const second = settler.settle(ended('b'));
    expect(pauses.map(({ ms }) => ms)).toEqual([8]);
    expect(batches).toEqual([]);
    pauses[0]!.over();
    await Promise.all([first, second]);
    expect(batches).toEqual([['a', 'b']]);
    expect(settler.pending()).toBe(0);
  });

  it('C: has a second statement beside the first when 250 wait, and no third; each end is in one of them', async () => {
    const asked: { ids: string[]; answer: () => void }[] = [];
    const settler = createSettler({
      outbox: {
        ...createMemoryOutbox(),
        settle: (settlements) =>
          new Promise((resolve) => {
            const settled = settlements.map(({ id }) => ({ id, status: 'delivered' as const, seconds: 1 }));
            asked.push({ ids: settlements.map(({ id }) => id), answer: () => resolve(settled) });
          }),
      },
      onRetry: () => undefined,
      pause: () => Promise.resolve(),
    });
    const ids = Array.from({ length: 700 }, (_, i) => `m${i}`);
    const ends: Promise<unknown>[] = [];
    const endNext = async (count: number): Promise<void> => {
      for (const id of ids.slice(ends.length, ends.length + count)) ends.push(settler.settle(ended(id)));
      await turn();
    };
    await endNext(1);
    await turn();
    await endNext(249);
    expect(asked.map((one) => one.ids.length)).toEqual([1]);
    await endNext(1);
    expect(asked.map((one) => one.ids.length)).toEqual([1, 250]);
    await endNext(449);
    await turn();
    expect(asked.map((one) => one.ids.length)).toEqual([1, 250]);
    for (let i = 0; i < asked.length; i++) {
      asked[i]!.answer();
      await turn();
    }
    await Promise.all(ends);
    expect(asked.flatMap((one) => one.ids).toSorted()).toEqual(ids.toSorted());
    expect(settler.pending()).toBe(0);
  });

  it('grows as long as each turn of the event loop brings some, at most 250 at first', async () => {
    const { settler, batches } = world(() => 0);
    const ends: Promise<unknown>[] = [];
    const tides = async (count: number): Promise<void> => {
      for (; count > 0; count--) {
        for (let i = 0; i < 25; i++) ends.push(settler.settle(ended(`m${ends.length}`)));
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await tides(8);
    await Promise.all(ends);
    expect(batches.map((ids) => ids.length)).toEqual([200]);
    await tides(12);
    await Promise.all(ends);
    expect(batches.map((ids) => ids.length)).toEqual([200, 250, 50]);
  });
});

describe('a settlement', () => {
  it('C: is reported to its attempt as it was recorded, and one whose token was stale as not recorded', async () => {
    const settler = createSettler({
      outbox: {
        ...createMemoryOutbox(),
        settle: async () => [{ id: 'a', status: 'delivered' as const, seconds: 1 }],
      },
      onRetry: () => undefined,
      pause: async () => undefined,
    });
    const told: unknown[] = [];
    for (const id of ['a', 'b'])
      settler.record(ended(id), { recorded: (settled) => void told.push([id, settled?.status]) });
    expect(settler.pending()).toBeGreaterThan(0);
    await turn();
    await turn();
    expect(told).toEqual([
      ['a', 'delivered'],
      ['b', undefined],
    ]);
    expect(settler.pending()).toBe(0);
  });

  it('D: is written again until the database has taken it, after 50 ms and then twice as long, up to 1 s', async () => {
    const pauses: number[] = [];
    const retries: unknown[] = [];
    const error = Object.assign(new Error('no database'), { code: '57P01' });
    let failures = 7;
    const settler = createSettler({
      outbox: {
        ...createMemoryOutbox(),
        async settle(settlements) {
          if (failures-- > 0) throw error;
          return settlements.map(({ id }) => ({ id, status: 'delivered' as const, seconds: 1 }));
        },
      },
      onRetry: (settlements, thrown) => void retries.push([settlements, thrown]),
      pause: async (ms) => void pauses.push(ms),
    });
    const settled = await Promise.all(['a', 'b'].map((id) => settler.settle(ended(id))));
    expect(settled.map((one) => one?.id)).toEqual(['a', 'b']);
    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_000, 1_000]);
    expect(retries).toEqual(Array.from({ length: 7 }, () => [2, error]));
  });

  it('stays what it is when the database cannot store its words: they are written in ASCII', async () => {
    const written: Settlement[] = [];
    const settler = createSettler({
      outbox: {
        ...createMemoryOutbox(),
        async settle(settlements) {
          if (/[^\p{ASCII}]/u.test(JSON.stringify(settlements)))
            throw Object.assign(new Error('character has no equivalent in encoding "LATIN1"'), {
              code: '22P05',
            });
          written.push(...settlements);
          return settlements.map(({ id, to }) => ({
            id,
            status: to === 'released' ? 'pending' : to,
            seconds: 1,
          }));
        },
      },
      onRetry: () => undefined,
      pause: async () => undefined,
    });
    const note = { type: 'accepted', detail: '250 добро', reference: '→ 1' };
    const ends: Settlement[] = [
      {
        id: 'a',
        claimToken: 'a',
        to: 'failed',
        error: 'schlug fehl → 日本',
        stack: 'at größe',
        delay: 5,
        ambiguous: true,
      },
      { id: 'b', claimToken: 'b', to: 'dead', error: '日本', ambiguous: false },
      { id: 'c', claimToken: 'c', to: 'released', error: '→', delay: 1 },
      { id: 'd', claimToken: 'd', to: 'delivered', then: [], notes: [note] },
      { id: 'e', claimToken: 'e', to: 'delivered', then: [] },
    ];
    const settled = await Promise.all(ends.map((end) => settler.settle(end)));
    expect(settled.map((one) => one?.status)).toEqual([
      'failed',
      'dead',
      'pending',
      'delivered',
      'delivered',
    ]);
    const [a] = written.filter(({ id }) => id === 'a');
    expect(a).toMatchObject({ to: 'failed', error: 'schlug fehl ? ??', delay: 5, ambiguous: true });
    expect(written.find(({ id }) => id === 'd')).toMatchObject({
      notes: [{ detail: '250 ?????', reference: '? 1' }],
    });
  });
});
