import { describe, expect, it, vi } from 'vitest';
import { createProgress, createWake, runLoop, type LoopState } from '../../src/process/loop.ts';
import { heartbeat, lastStall, stalledLoops } from '../../src/process/stall.ts';

const clock = { now: () => 0 };
const ports = (stop: AbortController, more: object = {}) => ({
  signal: stop.signal,
  onError: () => undefined,
  observe: () => undefined,
  progress: createProgress(clock),
  ...more,
});

describe('runLoop', () => {
  it('asks for the next step after the delay that the last one gave', async () => {
    const stop = new AbortController();
    let steps = 0;
    await runLoop({ name: 'l', step: async () => (++steps === 5 ? (stop.abort(), 0) : 1) }, ports(stop));
    expect(steps).toBe(5);
  });

  it('is woken out of a long wait, and a wake-up that came too early is kept', async () => {
    const stop = new AbortController();
    const wake = createWake();
    let steps = 0;
    const step = async (): Promise<number> => {
      if (++steps === 3) stop.abort();
      else wake.wake(); // before the wait begins
      return 3_600_000;
    };
    await runLoop({ name: 'l', step, wake }, ports(stop));
    expect(steps).toBe(3);
  });

  it('ends a wait when the signal aborts', async () => {
    const stop = new AbortController();
    const observe = (): void => stop.abort();
    const step = async (): Promise<number> => (queueMicrotask(() => stop.abort()), 3_600_000);
    await runLoop({ name: 'l', step }, ports(stop, { observe }));
    expect(stop.signal.aborted).toBe(true);
  });

  it('survives errors, tells them, and goes on', async () => {
    const stop = new AbortController();
    const errors: unknown[] = [];
    let steps = 0;
    const step = async (): Promise<number> => {
      if (++steps === 1) throw new Error('once');
      stop.abort();
      return 0;
    };
    await runLoop(
      { name: 'l', step },
      ports(stop, { onError: (loop: string, error: Error) => errors.push([loop, error.message]) }),
    );
    expect([steps, errors]).toEqual([2, [['l', 'once']]]);
  });
});

describe('Progress', () => {
  it('takes a wait that a loop asked for as no stall, and a step that hangs as one', async () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    const stop = new AbortController();
    const wake = createWake();
    const hangs = Promise.withResolvers<number>();
    let steps = 0;
    const step = (): Promise<number> => (++steps === 1 ? Promise.resolve(60_000) : hangs.promise);
    const running = runLoop({ name: 'rare', step, wake }, ports(stop, { progress }));
    await vi.waitFor(() => expect(steps).toBe(1));
    const stalled = (): string[] => stalledLoops(progress);
    now = 60_000;
    expect(stalled()).toEqual([]);
    wake.wake();
    await vi.waitFor(() => expect(steps).toBe(2));
    now = 79_000;
    expect(stalled()).toEqual([]);
    now = 81_000;
    expect(stalled()).toEqual(['rare']);
    expect(progress.loops()).toMatchObject([{ name: 'rare', stepMs: 21_000, overdueMs: 21_000 }]);
    stop.abort();
    hangs.resolve(0);
    await running;
  });

  it('gives a step that was woken early no more time than any other', () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    progress.enter('rare', 10_000);
    progress.begin('rare');
    progress.end('rare', 60_000);
    progress.resume('rare');
    now = 21_000;
    expect(stalledLoops(progress)).toEqual(['rare']);
  });

  it('names the loops that stand still, each by its own interval, of two seconds at the least', () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    progress.enter('slow', 10_000);
    progress.enter('quick', 50);
    now = 3_900;
    expect(stalledLoops(progress)).toEqual([]);
    now = 4_100;
    expect(stalledLoops(progress)).toEqual(['quick']);
    progress.forget('quick');
    expect(stalledLoops(progress)).toEqual([]);
  });

  it('takes a step that failed as none', async () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    const stop = new AbortController();
    let steps = 0;
    const step = async (): Promise<number> => {
      now += 3_000;
      if (++steps === 3) stop.abort();
      throw new Error('each time');
    };
    const stalls: string[][] = [];
    const onError = (): void => void stalls.push(stalledLoops(progress));
    await runLoop(
      { name: 'failing', step, everyMs: 1_000, longestPauseMs: 1 },
      ports(stop, { progress, onError }),
    );
    expect(stalls).toEqual([[], ['failing'], ['failing']]);
  });
});

describe('lastStall', () => {
  const state = (name: string, over: object = {}) => ({
    name,
    ago: 0,
    isStalled: false,
    stepMs: 0,
    everyMs: 2_000,
    overdueMs: 0,
    ...over,
  });
  const fine = state(heartbeat);
  const why = (loops: readonly LoopState[]): string | undefined => lastStall([loops], 60_000)?.why;
  it('ends a process for a step that hangs for the limit and ten intervals, and for nothing less', () => {
    expect(why([fine, state('worker', { stepMs: 59_000 })])).toBeUndefined();
    expect(why([fine, state('worker', { stepMs: 61_000 })])).toContain('worker');
    expect(why([fine, state('prune', { stepMs: 61_000, everyMs: 60_000 })])).toBeUndefined();
    expect(why([fine, state('prune', { stepMs: 601_000, everyMs: 60_000 })])).toContain('prune');
  });
  it('ends it for a loop that only fails while the database answers, and not while it does not', () => {
    const failing = state('relay', { overdueMs: 301_000, isStalled: true });
    expect(why([fine, failing])).toContain('although the database answers');
    expect(why([state(heartbeat, { isStalled: true }), failing])).toBeUndefined();
    expect(why([fine, state('relay', { overdueMs: 299_000 })])).toBeUndefined();
  });
  it('of several databases ends it for a loop that only fails when it works for none of them', () => {
    const failing = [fine, state('relay', { overdueMs: 301_000, isStalled: true })];
    const away = [state(heartbeat, { isStalled: true })];
    const hangs = [fine, state('worker', { stepMs: 61_000 })];
    expect(lastStall([[fine], failing], 60_000)).toBeUndefined();
    expect(lastStall([[], failing], 60_000)).toMatchObject({ of: 1 });
    expect(lastStall([away, failing], 60_000)).toMatchObject({ of: 1 });
    expect(lastStall([failing, failing], 60_000)).toMatchObject({ of: 0 });
    expect(lastStall([[fine], hangs], 60_000)).toMatchObject({ of: 1 });
  });
});
