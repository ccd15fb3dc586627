// Wake-ups, fetched from pg-boss when the relay tells of some, and now and then. They are fetched only while nothing is known to wait in their queue
// and a slot is free: those that stay in pg-boss are for other workers. A loop of its own, so that no trouble with pg-boss holds up a claim.

import type { Clock, Milliseconds } from '../ports.ts';
import { createWake, type Wake } from '../process/loop.ts';
import type { WakeUpQueue } from '../queue/boss.ts';
import type { Worker } from './worker.ts';

export type WakeUps = {
  /** The name of a queue; when it is empty, any may hold some. */
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

/** The outbox itself is polled each interval; a wake-up that nobody told of may wait longer. */
const intervals = 5;
/** Fetched at a time: one for the work that there is, the others are for other workers. */
const few = 1;
/** After fetches in a row that led to nothing, wake-ups are what is left of work that is done: they are removed many at a time. */
const many = 50;

export function createWakeUps({ queues, queue, worker, clock, pollIntervalMs }: WakeUpPorts): WakeUps {
  const wake = createWake();
  const named = new Set<string>();
  const fetched = new Map<string, number>(); // in a row, by queue
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
      const its = Array.from(named); // what is heard meanwhile is for the next step
      for (const name of its) {
        if (!worker.isIdle(name)) {
          fetched.set(name, 0);
          continue;
        }
        const times = (fetched.get(name) ?? 0) + 1;
        fetched.set(name, times);
        named.delete(name); // before the fetch: what is heard during it counts
        const wakeUps = await queue.take(name, times > 2 ? many : few).catch((error: unknown) => {
          named.add(name);
          throw error;
        });
        if (wakeUps.length > 0) named.add(name);
        worker.announced(wakeUps);
      }
      // A queue with work is looked at again when that is done, which no one tells: soon enough to share, late enough to cost nothing.
      return named.size > 0 ? 50 : polledAt + everyMs - clock.now();
    },
  };
}
