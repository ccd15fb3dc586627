import { describe, expect, it } from 'vitest';
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
