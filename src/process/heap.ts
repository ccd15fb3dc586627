// The bounds of this process's heap: small without work, and limited while it works. Loading modules lets V8's young generation grow to tens of
// megabytes, which an idle process never frees. So its size is fixed from the start, and grows up to a bound when collections are frequent. Growing
// further makes collections rarer and nothing faster (docs/decisions/012-idle-processes-and-the-heap.md). The memory is freed after a minute without
// work instead of V8's eight seconds, because V8's way also drops compiled code.

import {
  constants,
  PerformanceObserver,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
} from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Milliseconds } from '../ports.ts';

/** Growth of the old space before it is collected, in percent: without work, and with work. */
const idleGrowth = 50;
const busyGrowth = 75;
/** A process that works collects more often than this. */
const busyMs: Milliseconds = 1_000;

/** Memory that work took is freed after this time without work. */
const usualRest: Milliseconds = 60_000;

/** A process is without work while its event loop is busy for at most this part of the time: it polls and answers scrapes. */
const idlePart = 0.05;

/** Bound of the young generation, both halves. V8's own is 128 MB, which would be most of the memory of a worker that drains. */
const mostYoung = 32 * 1024 * 1024;

/** The flags and figures are V8's. Bun runs on JavaScriptCore, which needs no such bounds. */
const isV8 = process.versions.bun === undefined;

let held: string | undefined; // of the whole process, like V8's flags

/** Call it before the modules of a role are loaded. */
export function keepHeapSmall(): void {
  hold(true, true);
}

/**
 * Lets the heap grow when work begins, and frees the memory after the work.
 * @param restMs how long without work
 */
export function growHeapWithWork(restMs: Milliseconds = usualRest): void {
  if (!isV8) return;
  // V8's own way to free memory drops hidden classes without objects at the moment, and all code compiled for them.
  setFlagsFromString('--no-memory-reducer-favors-memory');
  let last = Number.NEGATIVE_INFINITY;
  let rest: NodeJS.Timeout | undefined;
  const collected = new PerformanceObserver((list) => {
    const at = (list.getEntries() as GcEntry[]).findLast(isOfYoung)?.startTime;
    if (at === undefined) return;
    const isStill = at - last > busyMs;
    hold(isStill, isGrown());
    last = at;
    if (!isStill) freeAfterRest();
  });
  // A process with a steady light load makes little garbage, and each message would feel the pause.
  function freeAfterRest(): void {
    const before = performance.eventLoopUtilization();
    clearTimeout(rest);
    rest = setTimeout(() => {
      if (performance.eventLoopUtilization(before).utilization > idlePart) freeAfterRest();
      else collectAll();
    }, restMs).unref();
  }
  collected.observe({ entryTypes: ['gc'] });
}

/** Collects all garbage and returns free pages to the system. It blocks the process for 20 to 60 ms, on a busy machine for up to 200 ms. */
export function collectAll(): void {
  if (!isV8) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as NodeJS.GCFunction;
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** Work makes garbage in the young generation. V8 also collects the old one without any work. */
const isOfYoung = ({ detail }: GcEntry): boolean => detail.kind === constants.NODE_PERFORMANCE_GC_MINOR;

/** As in nodejs.org/api/perf_hooks.html; Node's type has no detail. */
type GcEntry = PerformanceEntry & { readonly detail: NodeGCPerformanceDetail };

function isGrown(): boolean {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return young !== undefined && young.space_size >= mostYoung;
}

function hold(still: boolean, isLarge: boolean): void {
  if (!isV8) return;
  const factors = `--semi-space-growth-factor=${still || isLarge ? 1 : 2} --heap-growing-percent=${still ? idleGrowth : busyGrowth}`;
  if (factors === held) return;
  held = factors;
  for (const flag of factors.split(' ')) setFlagsFromString(flag);
}
