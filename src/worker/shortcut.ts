// The shortcut: a worker that hears of a commit claims from the lanes at once, in one statement, instead of waiting for the relay and its
// parcel. Only a hint acted on early: what it does not take, what has an attempt behind it (invariants B and F), and what is in queues with a
// limit goes through the relay. A fleet hears each hint everywhere, so whoever found nothing answers the next ones later and later:
// the others were faster, and hints that come meanwhile are one.

import { queuesIn } from '../outbox/nudge.ts';
import type { Milliseconds } from '../ports.ts';

export type Shortcut = {
  /** The payload of a notification. */
  heard(payload: string): void;
  /** Messages that a claim under way may bring. */
  asked(): number;
  /** No claim is sent any more; resolves when the last one is over. */
  close(): Promise<void>;
};

/** So many messages of a priority above this one. */
export type Room = { readonly count: number; readonly above: number };

export type ShortcutPorts = {
  /** Those that it may claim from. */
  readonly queues: readonly string[];
  /** What may start now. */
  readonly room: () => Room;
  /** Claims and starts them; gives how many there were. */
  readonly claim: (queues: readonly string[], room: Room) => Promise<number>;
  readonly pause: (ms: Milliseconds) => Promise<void>;
  readonly onError: (error: unknown) => void;
};

/** Before the answer to a hint, after so many in a row that brought nothing: 0, 0, 1, 2, 4 … 64 ms. The relay is faster than the last ones. */
export function delayAfter(vain: number): Milliseconds {
  return vain < 2 ? 0 : Math.min(longest, 2 ** (vain - 2));
}

const longest: Milliseconds = 64;
/** After an error the database is left alone for the longest delay. */
const broken = 16;
/** A hint that names no queue. */
const any = '';

export function createShortcut({ queues, room, claim, pause, onError }: ShortcutPorts): Shortcut {
  const hints = new Set<string>(); // queues, and `any`
  const vain = new Map<string, number>(); // answers in a row that brought nothing, by hint
  let asked = 0;
  let closed = false;
  let answering: Promise<void> | undefined;

  async function answer(): Promise<void> {
    while (hints.size > 0 && !closed) {
      const delay = Math.min(...[...hints].map((hint) => delayAfter(vain.get(hint) ?? 0)));
      if (delay > 0) await pause(delay);
      if (!closed) await take();
    }
    answering = undefined;
  }

  async function take(): Promise<void> {
    const taken = [...hints];
    hints.clear();
    const there = room();
    if (there.count <= 0) return; // the relay makes a parcel of it
    asked = there.count;
    try {
      const count = await claim(taken.includes(any) ? queues : taken, there);
      for (const hint of taken) vain.set(hint, count > 0 ? 0 : (vain.get(hint) ?? 0) + 1);
    } catch (error) {
      onError(error);
      for (const hint of taken) vain.set(hint, broken);
    } finally {
      asked = 0;
    }
  }

  return {
    asked: () => asked,
    heard(payload) {
      if (closed || queues.length === 0) return;
      for (const hint of queuesIn(payload) ?? [any]) if (hint === any || queues.includes(hint)) hints.add(hint);
      if (hints.size > 0) answering ??= answer();
    },
    async close() {
      closed = true;
      await answering;
    },
  };
}

