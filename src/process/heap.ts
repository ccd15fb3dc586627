// The heap of this process: small until there is work. Loading modules lets V8's young generation grow to tens of megabytes, pages that
// an idle process never gives back; so it stands still from the start on and grows when collections follow one another. Bounds for
// working processes too were measured, and cost the drain more than memory is worth (docs/performance.md).

import { PerformanceObserver } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import type { Milliseconds } from '../ports.ts';

/** Of the old space before it is collected, in percent, while there is no work; 0: as V8 thinks best. */
const idleGrowth = 50;
/** A process that works collects more often than this. */
const busyMs: Milliseconds = 1_000;

let held: boolean | undefined; // of the whole process, as V8's flags are

/** Before the modules of a role are loaded. */
export function keepHeapSmall(): void {
  hold(true);
}

/** Lets the heap grow with the work that begins now. */
export function growHeapWithWork(): void {
  let last = Number.NEGATIVE_INFINITY;
  const collected = new PerformanceObserver((list) => {
    const at = list.getEntries().at(-1)!.startTime;
    hold(at - last > busyMs);
    last = at;
  });
  collected.observe({ entryTypes: ['gc'] });
}

function hold(still: boolean): void {
  if (still === held) return;
  held = still;
  setFlagsFromString(`--semi-space-growth-factor=${still ? 1 : 2}`); // of the young generation; 2 is V8's own
  setFlagsFromString(`--heap-growing-percent=${still ? idleGrowth : 0}`);
}
