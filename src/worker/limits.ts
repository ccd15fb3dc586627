// What a worker knows of the limits of its queues (src/queues/limits.ts). Each poll reads them, and a NOTIFY asks for a poll when an operator changes
// them. Until then nothing is claimed under limits that are outdated: the database decides at each claim (waybill.queue_room).

import type { Milliseconds } from '../ports.ts';
import type { Limits } from '../queues/limits.ts';

export type Known = {
  readonly limits: Limits;
  /** As the database writes them. */
  readonly text: string;
};

export type KnownLimits = {
  /** Undefined: without limits for the fleet, so a claim need not ask for them. */
  of(queue: string): Known | undefined;
  /** Messages that one process may have in hand. */
  perProcess(queue: string): number;
  /** A poll has read the limits of all queues that have some. */
  polled(texts: ReadonlyMap<string, string>): void;
  /**
   * A claim brought less than was wanted, perhaps because the limits left no place. @param inHand messages of the queue that this worker has
   * @returns the time until the next claim, unless a NOTIFY comes before; undefined: polls find the rest
   */
  againMs(queue: string, got: number, inHand: number): Milliseconds | undefined;
  /** The last claim may have found no place: one that a message leaves is worth a claim at once. */
  isCrowded(queue: string): boolean;
};

const firstMs: Milliseconds = 25;

/** @param perProcess what the application defines, for queues without other limits */
export function createKnownLimits(
  perProcess: ReadonlyMap<string, number>,
  pollIntervalMs: Milliseconds,
): KnownLimits {
  const known = new Map<string, Known>();
  const waits = new Map<string, Milliseconds>();
  return {
    of: (queue) => known.get(queue),
    perProcess(queue) {
      const its = known.get(queue);
      return (its ? its.limits.concurrencyPerProcess : perProcess.get(queue)) ?? Number.POSITIVE_INFINITY;
    },
    polled(texts) {
      for (const queue of known.keys()) if (!texts.has(queue)) known.delete(queue);
      for (const [queue, text] of texts)
        if (known.get(queue)?.text !== text) known.set(queue, { text, limits: JSON.parse(text) as Limits });
    },
    // Nothing tells a worker that another one has ended a message, so it asks again, later each time.
    againMs(queue, got, inHand) {
      const before = got > 0 ? 0 : (waits.get(queue) ?? 0);
      if (before >= pollIntervalMs && inHand === 0) {
        waits.delete(queue);
        return undefined;
      }
      const next = Math.min(pollIntervalMs, Math.max(firstMs, 2 * before));
      waits.set(queue, next);
      return next;
    },
    isCrowded: (queue) => waits.has(queue),
  };
}
