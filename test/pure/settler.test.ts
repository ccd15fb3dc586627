import { describe, expect, it } from 'vitest';
import type { Settlement } from '../../src/outbox/outcome.ts';
import { createMemoryOutbox } from '../../src/outbox/memory.ts';
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

describe('the settler', () => {
  it('writes what ends in one turn together, and at once when nothing is to be gathered', async () => {
    const { settler, batches, pauses } = world(() => 0);
    await Promise.all(['a', 'b', 'c'].map((id) => settler.settle(ended(id))));
    expect(batches).toEqual([['a', 'b', 'c']]);
    expect(pauses).toEqual([]);
  });

  it('waits for others when there are some to come, and then writes all of them', async () => {
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
});
