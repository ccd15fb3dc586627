// The counts of a process with one worker, for heartbeats that a test writes by itself.

import type { Counts } from '../../src/process/heartbeat.ts';

type Given = { readonly slots: number; readonly busy: number; readonly queues: readonly string[] };

/** A process that delivers nothing. */
export const idle: Counts = { workers: [], isolating: () => 0 };

export function counts({ busy, ...worker }: Given): Counts {
  const none = (): number => 0;
  return { workers: [{ ...worker, busy: () => busy, prefetched: none, settling: none }], isolating: none };
}
