// The loop of a worker that fetches wake-ups. Doubled: the queue (its fetches are answered from a list), the worker (it is idle or not), the clock.

import { describe, expect, it } from 'vitest';
import type { WakeUpQueue } from '../../src/queue/boss.ts';
import type { WakeUp } from '../../src/queue/wake-up.ts';
import { createWakeUps } from '../../src/worker/wake-ups.ts';

const pollIntervalMs = 1_000;
const wakeUpOf = (queue: string): WakeUp => ({ queue, priority: 0, messages: 3 });

function world(queues: readonly string[] = ['jobs', 'email']) {
  let now = 0;
  const held = new Map<string, number>(); // wake-ups in pg-boss, by queue
  const busy = new Set<string>();
  const fetches: [queue: string, count: number][] = [];
  const announced: (readonly WakeUp[])[] = [];
  const polls: (readonly string[])[] = [];
  let fails: Error | undefined;
  const queue: Pick<WakeUpQueue, 'ready' | 'take'> = {
    async ready(names) {
      polls.push(names);
      return names.filter((name) => (held.get(name) ?? 0) > 0);
    },
    async take(name, count) {
      if (fails) throw fails;
      fetches.push([name, count]);
      const taken = Math.min(count, held.get(name) ?? 0);
      held.set(name, (held.get(name) ?? 0) - taken);
      return Array.from({ length: taken }, () => wakeUpOf(name));
    },
  };
  const wakeUps = createWakeUps({
    queues,
    queue: queue as WakeUpQueue,
    worker: { announced: (its) => void announced.push(its), isIdle: (name) => !busy.has(name) },
    clock: { now: () => now },
    pollIntervalMs,
  });
  return {
    wakeUps,
    held,
    busy,
    fetches,
    announced,
    polls,
    pass: (ms: number) => void (now += ms),
    fail: (error: Error | undefined) => void (fails = error),
  };
}

describe('wake-ups', () => {
  it('are fetched for a queue that was named, one at first, and given to the worker', async () => {
    const { wakeUps, held, fetches, announced } = world();
    await wakeUps.step();
    held.set('jobs', 5);
    wakeUps.heard('jobs');
    await wakeUps.step();
    expect(fetches).toEqual([['jobs', 1]]);
    expect(announced).toEqual([[wakeUpOf('jobs')]]);
  });

  it('are not fetched for a queue in which work is known, and are when that is done', async () => {
    const { wakeUps, held, busy, fetches } = world();
    await wakeUps.step();
    for (const name of ['jobs', 'email']) held.set(name, 5);
    busy.add('jobs');
    for (const name of ['jobs', 'email']) wakeUps.heard(name);
    expect(await wakeUps.step()).toBe(50);
    expect(fetches).toEqual([['email', 1]]);
    busy.delete('jobs');
    await wakeUps.step();
    expect(fetches.slice(1)).toContainEqual(['jobs', 1]);
  });

  it('are removed many at a time after two fetches in a row that led to nothing, and one at a time again after work', async () => {
    const { wakeUps, held, busy, fetches } = world(['jobs']);
    held.set('jobs', 200);
    for (let i = 0; i < 4; i++) await wakeUps.step();
    expect(fetches.map(([, count]) => count)).toEqual([1, 1, 50, 50]);
    busy.add('jobs');
    await wakeUps.step();
    busy.delete('jobs');
    await wakeUps.step();
    expect(fetches.map(([, count]) => count).slice(4)).toEqual([1]);
  });

  it('are not fetched again from a queue that gave none, until it is named again', async () => {
    const { wakeUps, held, fetches } = world(['jobs']);
    wakeUps.heard('jobs');
    await wakeUps.step();
    await wakeUps.step();
    expect(fetches).toEqual([['jobs', 1]]);
    held.set('jobs', 1);
    wakeUps.heard('jobs');
    await wakeUps.step();
    expect(fetches).toHaveLength(2);
  });

  it('are looked for in all queues when none is named, and never in those of other workers', async () => {
    const { wakeUps, fetches } = world();
    wakeUps.heard('');
    await wakeUps.step();
    expect(fetches.map(([name]) => name)).toEqual(['jobs', 'email']);
    wakeUps.heard('other');
    await wakeUps.step();
    expect(fetches).toHaveLength(2);
  });

  it('B: are found by a poll every five intervals, although nobody named their queue', async () => {
    const { wakeUps, held, polls, fetches, pass } = world();
    expect(wakeUps.everyMs).toBe(5 * pollIntervalMs);
    expect(await wakeUps.step()).toBe(5_000);
    expect(polls).toEqual([['jobs', 'email']]);
    held.set('email', 1);
    pass(4_999);
    expect(await wakeUps.step()).toBe(1);
    expect([polls.length, fetches]).toEqual([1, []]);
    pass(1);
    await wakeUps.step();
    expect([polls.length, fetches]).toEqual([2, [['email', 1]]]);
  });

  it('B: whose fetch failed are fetched again in the next step', async () => {
    const { wakeUps, held, announced, fail } = world(['jobs']);
    await wakeUps.step();
    held.set('jobs', 1);
    wakeUps.heard('jobs');
    fail(new Error('no database'));
    await expect(wakeUps.step()).rejects.toThrow('no database');
    fail(undefined);
    await wakeUps.step();
    expect(announced.flat()).toEqual([wakeUpOf('jobs')]);
  });

  it('end the wait of the loop when a queue is named', async () => {
    const { wakeUps } = world();
    wakeUps.heard('jobs');
    const signal = new AbortController().signal;
    await expect(wakeUps.wake.wait(3_600_000, signal)).resolves.toBeUndefined();
  });
});

it('B: what is heard during a fetch that comes back empty counts', async () => {
  let answer = (): void => undefined;
  let takes = 0;
  const take = async () => {
    takes++;
    await new Promise<void>((resolve) => (answer = resolve));
    return [];
  };
  const wakeUps = createWakeUps({
    queues: ['jobs'],
    queue: { ready: async () => [], take } as never,
    worker: { announced: () => undefined, isIdle: () => true },
    clock: { now: () => 0 },
    pollIntervalMs: 1_000,
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  wakeUps.heard('jobs');
  const step = wakeUps.step();
  await turn();
  wakeUps.heard('jobs');
  answer();
  await step;
  void wakeUps.step();
  await turn();
  expect(takes).toBe(2);
});
