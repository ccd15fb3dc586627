// The heap of this process: small until there is work, and bounded while there is. Loading modules lets V8's young generation grow to tens of
// megabytes, pages that an idle process never gives back; so it stands still from the start on, and grows when collections follow one
// another, up to a bound: what it takes beyond that makes collections rarer and nothing faster (docs/performance.md).

import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import type { Milliseconds } from '../ports.ts';

/** Of the old space before it is collected, in percent: while there is no work, and while there is. */
const idleGrowth = 50;
const busyGrowth = 75;
/** A process that works collects more often than this. */
const busyMs: Milliseconds = 1_000;

/** Of the young generation, both of its halves: V8's own bound is 128 MB, and most of what a worker that drains would hold. */
const mostYoung = 32 * 1024 * 1024;

let held: string | undefined; // of the whole process, as V8's flags are

/** Before the modules of a role are loaded. */
export function keepHeapSmall(): void {
  hold(true, true);
}

/** Lets the heap grow with the work that begins now. */
export function growHeapWithWork(): void {
  let last = Number.NEGATIVE_INFINITY;
  const collected = new PerformanceObserver((list) => {
    const at = list.getEntries().at(-1)!.startTime;
    hold(at - last > busyMs, isGrown());
    last = at;
  });
  collected.observe({ entryTypes: ['gc'] });
}

function isGrown(): boolean {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return young !== undefined && young.space_size >= mostYoung;
}

function hold(still: boolean, isLarge: boolean): void {
  const factors = `--semi-space-growth-factor=${still || isLarge ? 1 : 2} --heap-growing-percent=${still ? idleGrowth : busyGrowth}`;
  if (factors === held) return;
  held = factors;
  for (const flag of factors.split(' ')) setFlagsFromString(flag);
}
