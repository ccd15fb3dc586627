// Fetches wake-ups from pg-boss, when the relay announces some and at long intervals. It fetches only while it knows of no work in the queue and a
// slot is free: the other wake-ups are for other workers. It has its own loop, so that trouble with pg-boss holds up no claim.

import type { Clock, Milliseconds } from '../ports.ts';
import { createWake, type Wake } from '../process/loop.ts';
import type { WakeUpQueue } from '../queue/boss.ts';
import type { Worker } from './worker.ts';

export type WakeUps = {
  /** Wake-ups were announced in this queue; empty: in any queue. */
  heard(name: string): void;
  step(): Promise<Milliseconds>;
  readonly wake: Wake;
  readonly everyMs: Milliseconds;
};

export type WakeUpPorts = {
  readonly queues: readonly string[];
  readonly queue: WakeUpQueue;
  readonly worker: Pick<Worker, 'announced' | 'isIdle'>;
  readonly clock: Clock;
  readonly pollIntervalMs: Milliseconds;
};

/** Poll intervals between looks for wake-ups that no NOTIFY announced. */
const intervals = 5;
/** Wake-ups fetched at a time: one is enough, the others are for other workers. */
const few = 1;
/** After two fetches in a row without work, the wake-ups left are outdated and are removed this many at a time. */
const many = 50;

export function createWakeUps({ queues, queue, worker, clock, pollIntervalMs }: WakeUpPorts): WakeUps {
  const wake = createWake();
  const named = new Set<string>();
  const fetched = new Map<string, number>(); // fetches in a row without work, by queue
  const everyMs = intervals * pollIntervalMs;
  let polledAt = Number.NEGATIVE_INFINITY;

  return {
    wake,
    everyMs,
    heard(name) {
      for (const one of name === '' ? queues : [name]) if (queues.includes(one)) named.add(one);
      wake.wake();
    },
    async step() {
      if (clock.now() - polledAt >= everyMs) {
        for (const name of await queue.ready(queues)) named.add(name);
        polledAt = clock.now();
      }
      const its = Array.from(named); // names that arrive meanwhile are for the next step
      for (const name of its) {
        if (!worker.isIdle(name)) {
          fetched.set(name, 0);
          continue;
        }
        const times = (fetched.get(name) ?? 0) + 1;
        fetched.set(name, times);
        named.delete(name); // before the fetch: a name that arrives during it counts
        const wakeUps = await queue.take(name, times > 2 ? many : few).catch((error: unknown) => {
          named.add(name);
          throw error;
        });
        if (wakeUps.length > 0) named.add(name);
        worker.announced(wakeUps);
      }
      // Nothing signals that a busy queue became idle, so it is checked again: soon enough to share, rarely enough to cost nothing.
      return named.size > 0 ? 50 : polledAt + everyMs - clock.now();
    },
  };
}
