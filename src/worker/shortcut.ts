// The shortcut: a worker that hears of a commit claims from the lanes at once, in one statement, instead of waiting for the relay and its
// parcel. Only a hint acted on early: what it does not take, what has an attempt behind it (invariants B and F), and what is in queues with a
// limit or a rate goes through the relay. With every slot taken it claims only what is more urgent than what waits for one.

import type { Executor } from '../db/executor.ts';
import { byIndexAlone } from '../db/prepared.ts';
import type { FromLane } from '../outbox/lane.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import { claimNext, claimTop, type FromTop } from '../outbox/top-lane.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { ClaimPorts } from './claim.ts';
import { createHints, type Hints } from './hints.ts';
import type { Slots } from './slots.ts';

export type Shortcut = Pick<Hints, 'close'> & {
  /** The text of a nudge. @param session where it was heard: its claim is faster there than on a connection that rests */
  heard(hint: string, session?: Executor): void;
  /** Messages that a claim under way may bring. */
  asked(): number;
};

export type ShortcutPorts = {
  /** Those that it may claim from. */
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly claims: ClaimPorts;
  /** Messages that other claims of this worker may bring; undefined: nothing may start now. */
  readonly others: () => number | undefined;
  readonly clock: Clock;
  /** `since`: this process's time before the claim was sent. */
  readonly start: (message: ClaimedMessage, since: Milliseconds) => void;
  /** After each claim, with the seconds since its messages became due, by queue. */
  readonly claimed: (lags: ReadonlyMap<string, readonly number[]>) => void;
  readonly onError: (error: unknown) => void;
};

const lowest = -2_147_483_648; // no priority is below it
const nothing: FromTop = { taken: [], isAll: false };

export function createShortcut(ports: ShortcutPorts): Shortcut {
  const { queues, slots, claims, others, onError } = ports;
  let asked = 0;
  let session: Executor | undefined;
  const planning = new WeakSet<Executor>(); // sessions that keep plans of what is asked on them

  function room(): { readonly count: number; readonly above: number } {
    const elsewhere = others();
    if (elsewhere === undefined) return { count: 0, above: lowest };
    const free = slots.free() - elsewhere;
    return free > 0 ? { count: free, above: lowest } : slots.urgent();
  }

  async function claim(names: readonly string[]): Promise<number | undefined> {
    const { count: limit, above } = room();
    if (limit <= 0) return undefined; // the relay makes a parcel of it
    asked = limit;
    try {
      const since = ports.clock.now();
      const { leaseMs, workerId } = claims;
      const want = { queues: names, limit, above, leaseMs, workerId };
      const [name] = names;
      const isPlanning = session !== undefined && planning.has(session);
      const top = isPlanning && names.length === 1 ? await claimTop(session!, name!, want) : nothing;
      if (top.taken.length > 0) started(top.taken, since);
      if (top.isAll) return top.taken.length;
      const others = await claimNext(session ?? claims.db, { ...want, limit: limit - top.taken.length });
      started(others, since);
      if (session && !isPlanning) await plan(session);
      return top.taken.length + others.length;
    } finally {
      asked = 0;
    }
  }

  function started(taken: readonly FromLane[], since: Milliseconds): void {
    asked -= taken.length;
    for (const { message } of taken) ports.start(message, since);
    const byQueue = Map.groupBy(taken, ({ message }) => message.queue);
    ports.claimed(new Map([...byQueue].map(([queue, its]) => [queue, its.map(({ lag }) => lag)])));
  }

  async function plan(on: Executor): Promise<void> {
    await on.executeSql(byIndexAlone);
    planning.add(on);
  }

  const pause = (ms: Milliseconds): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const hints = createHints({
    queues,
    answer: claim,
    pause,
    onError(error) {
      session = undefined; // it may be gone; a nudge that is heard names one that is not
      onError(error);
    },
  });
  return {
    heard(hint, on) {
      session = on;
      hints.heard(hint);
    },
    close: () => hints.close(),
    asked: () => asked,
  };
}
