// Who is running: one slot is one delivery at a time. A worker claims only what free slots can start.

import type { Wake } from '../process/loop.ts';

export type Slots = {
  readonly size: number;
  free(): number;
  busy(): number;
  /** Runs `work` in a slot, and wakes the loop when it is over. Never rejects: `work` ends in a settlement or in `onError`. */
  run(work: () => Promise<void>): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
};

export function createSlots(size: number, wake: Wake, onError: (error: unknown) => void): Slots {
  const running = new Set<Promise<void>>();
  return {
    size,
    free: () => Math.max(0, size - running.size),
    busy: () => running.size,
    run(work) {
      const one: Promise<void> = work()
        .catch(onError)
        .finally(() => {
          running.delete(one);
          wake.wake();
        });
      running.add(one);
    },
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
