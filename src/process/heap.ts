// The heap of this process: as large as its work needs, not as large as the machine would let it become. V8 sizes its spaces by the
// machine's memory: with 24 GB a worker that drains kept 128 MB for objects that live for milliseconds, and let garbage pile up to four
// times of what is alive. The figures of smaller ones are in docs/performance.md.

import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import type { Milliseconds } from '../ports.ts';

/** The old space is collected when it has grown by this much, in percent. */
const growth = 100;
/** The young generation grows to this: large enough that what a batch needs does not outlive a collection. */
const youngBytes = 32 * 1_048_576;
/** A process that works collects more often than this. */
const busyMs: Milliseconds = 1_000;

/** Before the modules of a role are loaded: loading lets the young generation grow, and nothing but idleness shrinks it. */
export function keepHeapSmall(): void {
  setFlagsFromString(`--heap-growing-percent=${growth}`);
  hold(true);
}

/** Lets the young generation grow with the work that begins now, up to its bound. V8 has no flag for the bound once it runs. */
export function growHeapWithWork(): void {
  let last = Number.NEGATIVE_INFINITY;
  const collected = new PerformanceObserver((list) => {
    const at = list.getEntries().at(-1)!.startTime;
    hold(at - last > busyMs || youngSize() >= youngBytes);
    last = at;
  });
  collected.observe({ entryTypes: ['gc'] });
}

let held: boolean | undefined; // of the whole process, as V8's flags are

function hold(still: boolean): void {
  if (still === held) return;
  held = still;
  setFlagsFromString(`--semi-space-growth-factor=${still ? 1 : 2}`);
}

function youngSize(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')!.space_size;
}
