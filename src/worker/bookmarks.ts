// Bookmarks: how far this worker has claimed in a lane, so that its next claim need not walk over what is claimed already: where a
// transaction elsewhere is held open, nobody can remove those entries from the index. Only a hint: what is behind a bookmark (recorded by a
// transaction that committed late, given back) is found by the claims that begin at the beginning again, every now and then and whenever
// the lane seems to end (invariants B and I).

import type { Lane } from '../outbox/lane.ts';
import type { Clock, Milliseconds } from '../ports.ts';

export type Bookmark = {
  /** Where the claim begins, seconds since the epoch; undefined: at the beginning of the lane. */
  readonly from: number | undefined;
  /** After the claim: when the last of its messages became due; undefined: the lane had less than was wanted. */
  close(last: number | undefined): void;
};

export type Bookmarks = {
  open(lane: Lane): Bookmark;
  /** The best lane of a queue in which the last claim found all that it wanted. */
  going(queue: string): Lane | undefined;
};

/** A claim from the beginning follows the one before it after this time … */
const least: Milliseconds = 250;
/** … or after so many times what that one took, so that it costs a twentieth … */
const part = 20;
/** … but no message waits behind a bookmark for longer than this. */
const most: Milliseconds = 5_000;

export function createBookmarks(clock: Clock): Bookmarks {
  const marks = new Map<string, Lane & { readonly at: number; readonly until: Milliseconds }>();

  function expire(now: Milliseconds): void {
    for (const [name, { until }] of marks) if (until <= now) marks.delete(name);
  }

  return {
    going(queue) {
      expire(clock.now());
      const its = [...marks.values()].filter((mark) => mark.queue === queue);
      return its.toSorted((a, b) => b.priority - a.priority)[0];
    },
    open({ queue, priority }) {
      const lane = `${priority} ${queue}`;
      const since = clock.now();
      expire(since);
      const mark = marks.get(lane);
      return {
        from: mark?.at,
        close(last) {
          const now = clock.now();
          const until = mark?.until ?? now + Math.min(most, Math.max(least, part * (now - since)));
          if (last === undefined) marks.delete(lane);
          else marks.set(lane, { queue, priority, at: last, until });
        },
      };
    },
  };
}
