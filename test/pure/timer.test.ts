import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDeadline, TimedOut } from '../../src/action/deadline.ts';
import { createWake } from '../../src/process/loop.ts';
import { after, deadline, pause } from '../../src/timer.ts';

const day = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a wait that is longer than a timer of Node can be', () => {
  it.each([[1], [20], [25 * day], [30 * day], [365 * day], [3_650 * day]])(
    'of %d ms ends then, and not before',
    (ms) => {
      const done = vi.fn<() => void>();
      after(ms, done);
      vi.advanceTimersByTime(ms - 1);
      expect(done).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1);
      expect(done).toHaveBeenCalledTimes(1);
    },
  );

  it('can be stopped in each of its parts, and holds nothing afterwards', () => {
    for (const waited of [0, 26 * day, 52 * day]) {
      const done = vi.fn<() => void>();
      const timer = after(60 * day, done);
      vi.advanceTimersByTime(waited);
      timer.stop();
      expect(vi.getTimerCount()).toBe(0);
      vi.advanceTimersByTime(100 * day);
      expect(done).not.toHaveBeenCalled();
    }
  });

  it('as a pause ends with its signal', async () => {
    const stop = new AbortController();
    const waiting = pause(30 * day, stop.signal);
    stop.abort();
    await waiting;
    await pause(30 * day, stop.signal);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('as a deadline aborts its signal', () => {
    const { signal } = deadline(30 * day);
    vi.advanceTimersByTime(30 * day - 1);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal.aborted).toBe(true);
  });

  it("of a handler's timeout", () => {
    const deadline = createDeadline([]);
    deadline.limit({ ms: 30 * day, what: 'the handler' });
    vi.advanceTimersByTime(29 * day);
    expect(deadline.signal.aborted).toBe(false);
    vi.advanceTimersByTime(day);
    expect(deadline.signal.reason).toBeInstanceOf(TimedOut);
  });

  it('of a loop', async () => {
    const woken = vi.fn<() => void>();
    void createWake()
      .wait(30 * day, new AbortController().signal)
      .then(woken);
    await vi.advanceTimersByTimeAsync(29 * day);
    expect(woken).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(day);
    expect(woken).toHaveBeenCalled();
  });
});

/** Where a timer's length comes from settings, definitions and rows. */
const folders = ['action', 'cron', 'db', 'delivery', 'drain', 'queue', 'scale', 'worker'];

it('no other timer has a length that comes from a setting or a row', () => {
  const src = fileURLToPath(new URL('../../src/', import.meta.url));
  const own = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter(
      (file) => file.endsWith('.ts') && (folders.includes(file.split('/')[0]!) || file === 'process/loop.ts'),
    )
    .filter((file) => {
      const code = readFileSync(join(src, file), 'utf8').replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
      return /\b(?:setTimeout|setInterval|AbortSignal\.timeout)\b/.test(code);
    });
  expect(own).toEqual([]);
});
