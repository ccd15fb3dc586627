// Hints of messages that were just recorded, and when this worker acts on them. A fleet hears each hint everywhere, so whoever found nothing
// answers the next ones later and later: the others were faster, and hints that come meanwhile are one.

import { fromPlace, placesIn } from '../outbox/hint.ts';
import type { Milliseconds } from '../ports.ts';

export type Hints = {
  /** The text of a nudge. */
  heard(hint: string): void;
  /** Nothing is answered any more; resolves when the last answer is over. */
  close(): Promise<void>;
};

export type HintPorts = {
  /** Those that are answered for. */
  readonly queues: readonly string[];
  /** Claims in these queues and lanes; gives how many messages there were, or undefined when it did not ask. */
  readonly answer: (places: readonly string[]) => Promise<number | undefined>;
  readonly pause: (ms: Milliseconds) => Promise<void>;
  readonly onError: (error: unknown) => void;
};

const longest: Milliseconds = 64;

/** Before an answer, after so many in a row that brought nothing: 0, 0, 1, 2, 4 … 64 ms. The relay is faster than the last ones. */
export function delayAfter(vain: number): Milliseconds {
  return vain < 2 ? 0 : Math.min(longest, 2 ** (vain - 2));
}

/** After an error the database is left alone for the longest delay. */
const broken = 16;
/** A hint that names no queue. */
const any = '';

export function createHints({ queues, answer, pause, onError }: HintPorts): Hints {
  const hints = new Map<string, string>(); // lanes, queues, and `any`: each with its queue
  const vain = new Map<string, number>(); // answers in a row that brought nothing, by queue
  let closed = false;
  let answering: Promise<void> | undefined;

  async function answerAll(): Promise<void> {
    while (hints.size > 0 && !closed) {
      const delay = leastDelay();
      if (delay > 0) await pause(delay);
      if (!closed) await answerOnce();
    }
    answering = undefined;
  }

  function leastDelay(): Milliseconds {
    let least = longest;
    for (const queue of hints.values()) least = Math.min(least, delayAfter(vain.get(queue) ?? 0));
    return least;
  }

  async function answerOnce(): Promise<void> {
    const [places, its] = [[...hints.keys()], new Set(hints.values())];
    hints.clear();
    try {
      const count = await answer(its.has(any) ? queues : places);
      if (count === undefined) return;
      for (const queue of its) vain.set(queue, count > 0 ? 0 : (vain.get(queue) ?? 0) + 1);
    } catch (error) {
      onError(error);
      for (const queue of its) vain.set(queue, broken);
    }
  }

  return {
    heard(hint) {
      if (closed || queues.length === 0) return;
      for (const place of placesIn(hint) ?? [any]) {
        const { queue } = fromPlace(place);
        if (queue === any || queues.includes(queue)) hints.set(place, queue);
      }
      if (hints.size > 0) answering ??= answerAll();
    },
    async close() {
      closed = true;
      await answering;
    },
  };
}
