// Ends a process that has stalled for good, so that the platform starts another. Its loops are watched from inside, the event loop from another
// thread.

import { Worker } from 'node:worker_threads';
import type { Milliseconds } from '../ports.ts';
import type { Host } from './host.ts';
import type { LoopState, Progress } from './loop.ts';

export function stalledLoops(progress: Progress): string[] {
  return progress.loops().flatMap(({ name, isStalled }) => (isStalled ? [name] : []));
}

/** A hanging step ends the process after this many intervals of its loop, and at least the limit. */
const intervals = 10;
/** A loop whose steps keep failing while the database answers gets this many limits. A restart may fix what this process cannot. */
const failing = 5;

/** The loop whose success shows that the database answers. */
export const heartbeat = 'heartbeat';

/** Why a process should end, and the place of the database that is concerned. */
export type Stall = { readonly why: string; readonly of: number };

/**
 * A process that works for another database is not ended for loops that keep failing: it would interrupt that work, and a table that is locked in
 * one database stays locked.
 * @param each the loops for each database of the process
 * @returns undefined while it should not end
 */
export function lastStall(each: readonly (readonly LoopState[])[], limitMs: Milliseconds): Stall | undefined {
  const failed = each.map((loops) => failingOf(loops, limitMs));
  const works = each.some((loops, i) => answers(loops) && failed[i] === undefined);
  for (const [of, loops] of each.entries()) {
    const why = hangingOf(loops, limitMs) ?? (works ? undefined : failed[of]);
    if (why !== undefined) return { why, of };
  }
  return undefined;
}

const answers = (loops: readonly LoopState[]): boolean =>
  loops.some(({ name, isStalled }) => name === heartbeat && !isStalled);

function hangingOf(loops: readonly LoopState[], limitMs: Milliseconds): string | undefined {
  const hangs = loops.find(({ stepMs, everyMs }) => stepMs > Math.max(limitMs, intervals * everyMs));
  return hangs && `the ${hangs.name} loop hangs in a step for ${seconds(hangs.stepMs)}`;
}

function failingOf(loops: readonly LoopState[], limitMs: Milliseconds): string | undefined {
  if (!answers(loops)) return undefined;
  const fails = loops.find(({ overdueMs, everyMs }) => overdueMs > failing * Math.max(limitMs, everyMs));
  return (
    fails &&
    `the ${fails.name} loop has finished no step for ${seconds(fails.overdueMs)} although the database answers`
  );
}

const seconds = (ms: Milliseconds): string => `${Math.round(ms / 1000)} s`;

/** Checks each second. @param end called once, with the reason and the host that is concerned */
export function endWhenStalled(hosts: readonly Host[], end: (reason: string, host: Host) => void): void {
  const { signal, config } = hosts[0]!;
  const timer = setInterval(() => {
    if (signal.aborted) return clearInterval(timer);
    const stall = lastStall(
      hosts.map(({ progress }) => progress.loops()),
      config.stallLimitMs,
    );
    if (stall === undefined) return;
    clearInterval(timer);
    end(stall.why, hosts[stall.of]!);
  }, 1_000);
  timer.unref();
}

/**
 * Counts seconds of this thread without a beat of the event loop, so a stopped process (SIGSTOP) or a sleeping machine does not count. A process with
 * a blocked event loop can run no signal handler and set no exit code. It is killed, which platforms show as 137.
 */
const watch = `
  const { workerData: { beats, limit, pid } } = require('node:worker_threads');
  const { write } = require('node:fs');
  const text = JSON.stringify({ level: 'fatal', msg: 'the event loop was blocked for ' + limit + ' s: a handler computes without end; the process is killed' }) + '\\n';
  let last = -1;
  for (let silent = 0; silent < limit; silent++) {
    Atomics.wait(beats, 1, 0, 1000);
    const now = Atomics.load(beats, 0);
    if (now !== last) silent = -1;
    last = now;
  }
  write(2, text, () => undefined);
  Atomics.wait(beats, 1, 0, 200);
  process.kill(pid, 'SIGKILL');`;

/** For processes that run an application's handlers: nothing else computes for long. Not under a debugger, where every pause is a stall. */
export function killWhenBlocked(limitMs: Milliseconds): void {
  if (process.execArgv.some((flag) => flag.startsWith('--inspect'))) return;
  const beats = new Int32Array(new SharedArrayBuffer(8));
  setInterval(() => void Atomics.add(beats, 0, 1), 500).unref();
  const workerData = { beats, limit: Math.ceil(limitMs / 1000), pid: process.pid };
  const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 };
  const thread = new Worker(watch, { eval: true, workerData, resourceLimits, env: {}, execArgv: [] });
  thread.on('error', () => undefined); // without the thread, others still see that the heartbeat is missing
  thread.unref();
}
