// Where parcels may be: the queues of pg-boss that a notification or a poll has named, and when each is worth a look.

import type { Milliseconds } from '../ports.ts';
import { bossQueue, fromBossQueue } from '../queue/parcel.ts';

/** `alone`: parcels that want the worker for themselves. */
export type Source = { readonly queue: string; readonly alone: boolean };

export type Sources = {
  /** Also by the name of pg-boss's queue. */
  add(source: Source | string): void;
  remove(source: Source): void;
  /** All that was found there waits for a job that runs as often as it may; an attempt that ends may change that. */
  setFull(source: Source): void;
  revive(): void;
  /** A queue with a rate is not worth a look before this. */
  rest(queue: string, until: Milliseconds): void;
  /** Those that are worth a look now, and when the next of the others is. */
  ready(now: Milliseconds): Source[];
  nextAt(now: Milliseconds): Milliseconds;
  isEmpty(): boolean;
};

export function createSources(queues: readonly string[]): Sources {
  const hints = new Map<string, Source>();
  const full = new Map<string, Source>();
  const rests = new Map<string, Milliseconds>();
  const nameOf = ({ queue, alone }: Source): string => bossQueue(queue, alone);
  const restOf = ({ queue }: Source): Milliseconds => rests.get(queue) ?? 0;
  return {
    add(given) {
      const source = typeof given === 'string' ? fromBossQueue(given) : given;
      if (queues.includes(source.queue)) hints.set(nameOf(source), source);
    },
    remove: (source) => void hints.delete(nameOf(source)),
    setFull: (source) => void full.set(nameOf(source), source),
    revive() {
      for (const [name, source] of full) hints.set(name, source);
      full.clear();
    },
    rest: (queue, until) => void rests.set(queue, until),
    ready: (now) => [...hints.values()].filter((source) => restOf(source) <= now),
    nextAt: (now) => Math.min(...[...hints.values()].map(restOf).filter((at) => at > now)),
    isEmpty: () => hints.size === 0,
  };
}
