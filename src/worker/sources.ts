// Where parcels may be: the queues of pg-boss that a notification or a poll has named, and when each is worth a look.

import type { Milliseconds } from '../ports.ts';
import { bossQueue, fromBossQueue } from '../queue/parcel.ts';

/** `alone`: parcels that want the worker for themselves. */
export type Source = { readonly queue: string; readonly alone: boolean };

export type Sources = {
  add(source: Source): void;
  /** A notification: the name of pg-boss's queue that got parcels, or nothing: any may have got some. */
  hear(name: string): void;
  /** Something was heard of it since its parcels were looked at. */
  isNews(queue: string): boolean;
  /** Its parcels are being looked at. */
  looked(queue: string): void;
  /** This worker put parcels there itself: one notification more, or one that was heard already, is no news. */
  gave(queue: string): void;
  /** It is being looked at. */
  remove(source: Source): void;
  /** All that was found there waits for a job that runs as often as it may; an attempt that ends may change that. */
  setFull(source: Source): void;
  revive(): void;
  /** A queue with a rate is not worth a look before this. */
  rest(queue: string, until: Milliseconds): void;
  /** Those to be looked at next, without parcels that want the worker for themselves … */
  shared(now: Milliseconds): readonly Source[];
  /** … and one of these. */
  alone(now: Milliseconds): Source | undefined;
  /** A poll found only these: another worker has taken the other parcels that wanted one for themselves. */
  polled(found: readonly Source[]): void;
  /** When the next of the others is worth a look. */
  nextAt(now: Milliseconds): Milliseconds;
  isEmpty(): boolean;
};

const none: readonly Source[] = [];

export function createSources(queues: readonly string[]): Sources {
  const hints = new Map<string, Source>();
  const full = new Map<string, Source>();
  const news = new Set<string>();
  const own = new Map<string, number>(); // notifications to come of what this worker gave
  const rests = new Map<string, Milliseconds>();
  const nameOf = ({ queue, alone }: Source): string => bossQueue(queue, alone);
  const restOf = ({ queue }: Source): Milliseconds => rests.get(queue) ?? 0;
  function add(source: Source): void {
    if (queues.includes(source.queue)) hints.set(nameOf(source), source);
  }
  const ready = (now: Milliseconds, alone: boolean): readonly Source[] =>
    hints.size === 0 ? none : [...hints.values()].filter((one) => one.alone === alone && restOf(one) <= now);

  return {
    add,
    hear(name) {
      if (name === '') own.clear(); // what was sent meanwhile is lost
      const its = name === '' ? queues.map((queue) => ({ queue, alone: false })) : [fromBossQueue(name)];
      for (const source of its) {
        const rest = own.get(source.queue) ?? 0;
        if (rest > 0) own.set(source.queue, rest - 1);
        else news.add(source.queue);
        add(source);
      }
    },
    isNews: (queue) => news.has(queue),
    looked: (queue) => void news.delete(queue),
    gave(queue) {
      if (!news.delete(queue)) own.set(queue, (own.get(queue) ?? 0) + 1);
    },
    remove(source) {
      hints.delete(nameOf(source));
    },
    setFull: (source) => void full.set(nameOf(source), source),
    revive() {
      if (full.size === 0) return; // it is asked after each message
      for (const [name, source] of full) hints.set(name, source);
      full.clear();
    },
    rest: (queue, until) => void rests.set(queue, until),
    shared: (now) => ready(now, false),
    alone: (now) => ready(now, true)[0],
    polled(found) {
      for (const [name, { alone }] of hints)
        if (alone && !found.some((one) => nameOf(one) === name)) hints.delete(name);
      for (const source of found) add(source);
    },
    nextAt: (now) => Math.min(...[...hints.values()].map(restOf).filter((at) => at > now)),
    isEmpty: () => hints.size === 0,
  };
}
