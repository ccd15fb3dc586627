import { describe, expect, it, vi } from 'vitest';
import { createProgress, createWake, runLoop } from '../../src/process/loop.ts';

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
    now = 60_000;
    expect(progress.stalled(30_000)).toEqual([]);
    wake.wake();
    await vi.waitFor(() => expect(steps).toBe(2));
    now = 91_000;
    expect(progress.stalled(30_000)).toEqual(['rare']);
    stop.abort();
    hangs.resolve(0);
    await running;
  });

  it('gives a step that was woken early no more time than any other', () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    progress.stamp('rare', 60_000);
    progress.stamp('rare');
    now = 31_000;
    expect(progress.stalled(30_000)).toEqual(['rare']);
  });

  it('names the loops that stand still', () => {
    let now = 0;
    const progress = createProgress({ now: () => now });
    progress.stamp('slow');
    now = 500;
    progress.stamp('quick');
    now = 1_200;
    expect(progress.stalled(1_000)).toEqual(['slow']);
    progress.forget('slow');
    expect(progress.stalled(1_000)).toEqual([]);
  });
});
