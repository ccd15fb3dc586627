// A handler whose transaction lost against another one: a serialisation failure or a deadlock. Postgres has undone all of it, the message is not at
// fault, and the next run may well pass. So it is given back, and its attempt does not count.

import { sqlState } from '../db/diagnosis.ts';
import type { Milliseconds, Random } from '../ports.ts';

export type Conflicts = {
  /** Milliseconds until it may run again; undefined: it has lost too often in this process, and from now on that counts as an attempt. */
  delayOf(id: string): Milliseconds | undefined;
};

export function isConflict(error: unknown): boolean {
  return ['40001', '40P01'].includes(sqlState(error) ?? '');
}

/** A handler that raises such an error by itself must come to an end. */
const most = 20;
/** Messages that are remembered. */
const kept = 10_000;
const longest: Milliseconds = 2_000;

export function createConflicts(random: Random): Conflicts {
  const lost = new Map<string, number>();
  return {
    delayOf(id) {
      const times = (lost.get(id) ?? 0) + 1;
      lost.delete(id);
      lost.set(id, times); // at the end: the first is the one that was heard of least lately
      const [oldest] = lost.keys();
      if (lost.size > kept && oldest !== undefined) lost.delete(oldest);
      if (times > most) return undefined;
      return random() * Math.min(longest, 20 * 2 ** times);
    },
  };
}
