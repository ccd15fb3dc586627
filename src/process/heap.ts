// The heap of this process: small until there is work, and bounded while there is. Loading modules lets V8's young generation grow to tens of
// megabytes, pages that an idle process never gives back; so it stands still from the start on, and grows when collections follow one
// another, up to a bound: what it takes beyond that makes collections rarer and nothing faster (docs/performance.md). It is given back after a
// minute's rest and not after the eight seconds of V8, which forgets with it what it has compiled.

import {
  constants,
  PerformanceObserver,
  type NodeGCPerformanceDetail,
  type PerformanceEntry,
} from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Milliseconds } from '../ports.ts';

/** Of the old space before it is collected, in percent: while there is no work, and while there is. */
const idleGrowth = 50;
const busyGrowth = 75;
/** A process that works collects more often than this. */
const busyMs: Milliseconds = 1_000;

/** After work, this long without any: then what the work took is given back. */
const usualRest: Milliseconds = 60_000;

/** Of the young generation, both of its halves: V8's own bound is 128 MB, and most of what a worker that drains would hold. */
const mostYoung = 32 * 1024 * 1024;

/** The flags and the figures are V8's. Bun runs on JavaScriptCore, which needs no such bounds. */
const isV8 = process.versions.bun === undefined;

let held: string | undefined; // of the whole process, as V8's flags are

/** Before the modules of a role are loaded. */
export function keepHeapSmall(): void {
  hold(true, true);
}

/**
 * Lets the heap grow with the work that begins now, and gives it back when there is none any more.
 * @param restMs how long there must have been none
 */
export function growHeapWithWork(restMs: Milliseconds = usualRest): void {
  if (!isV8) return;
  // V8's own way to give memory back drops the hidden classes of which there is no object at the moment, and all code compiled for them.
  setFlagsFromString('--no-memory-reducer-favors-memory');
  let last = Number.NEGATIVE_INFINITY;
  let rest: NodeJS.Timeout | undefined;
  const collected = new PerformanceObserver((list) => {
    const at = (list.getEntries() as GcEntry[]).findLast(isOfYoung)?.startTime;
    if (at === undefined) return;
    const isStill = at - last > busyMs;
    hold(isStill, isGrown());
    last = at;
    if (isStill) return;
    clearTimeout(rest);
    rest = setTimeout(collectAll, restMs).unref();
  });
  collected.observe({ entryTypes: ['gc'] });
}

/** Collects all garbage and gives free pages back to the system. It stops the process for some 20 to 60 ms. */
export function collectAll(): void {
  if (!isV8) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as NodeJS.GCFunction;
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/** What works makes garbage that is collected young; V8 collects the old on its own account too. */
const isOfYoung = ({ detail }: GcEntry): boolean => detail.kind === constants.NODE_PERFORMANCE_GC_MINOR;

/** As nodejs.org/api/perf_hooks.html has it; its types have no detail. */
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
