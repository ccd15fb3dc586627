// The shortcut: a worker that hears of a commit claims from the lanes at once, in one statement, instead of waiting for the relay and its
// parcel. Only a hint acted on early: what it does not take, what has an attempt behind it (invariants B and F), and what is in queues with a
// limit or a rate goes through the relay. With every slot taken it claims only what is more urgent than what waits for one.

import type { Session } from '../db/session.ts';
import { fromPlace } from '../outbox/hint.ts';
import { claimHinted, claimNext, type HintedClaim } from '../outbox/hinted.ts';
import type { FromLane, Lane } from '../outbox/lane.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import type { Isolation } from '../process/isolation.ts';
import { pause } from '../timer.ts';
import type { ClaimPorts } from './claim.ts';
import { createHints, type Hints } from './hints.ts';
import type { Slots } from './slots.ts';

export type Shortcut = Pick<Hints, 'close'> & {
  /** The text of a nudge. @param session where it was heard: its claim is faster there than on a connection that rests */
  heard(hint: string, session?: Session): void;
  /** Messages that a claim under way may bring. */
  asked(): number;
};

export type ShortcutPorts = {
  /** Those that it may claim from. */
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly claims: ClaimPorts;
  /** Messages that other claims of this worker may bring. */
  readonly others: () => number;
  /** Hears of each claim, and says from which queues messages may start now. */
  readonly isolation?: Pick<Isolation, 'admits' | 'asks' | 'answered'>;
  readonly clock: Clock;
  /** `since`: this process's time before the claim was sent. */
  readonly start: (message: ClaimedMessage, since: Milliseconds) => void;
  /** After each claim, with the seconds since its messages became due, by queue. */
  readonly claimed: (lags: ReadonlyMap<string, readonly number[]>) => void;
  readonly onError: (error: unknown) => void;
};

const lowest = -2_147_483_648; // no priority is below it

export function createShortcut(ports: ShortcutPorts): Shortcut {
  const { queues, slots, claims, others, isolation, onError } = ports;
  let asked = 0;
  let session: Session | undefined;

  function room(): { readonly count: number; readonly begins: number; readonly above: number } {
    const free = slots.free() - others();
    return free > 0 ? { count: free, begins: free, above: lowest } : { ...slots.urgent(), begins: 0 };
  }

  /** The statement goes out, and what it brings starts, without waiting for a promise: all of this is latency. */
  function claim(given: readonly string[]): Promise<number | undefined> {
    const places = given.filter((place) => isolation?.admits(fromPlace(place).queue) ?? true);
    const { count: limit, begins, above } = room();
    const lane = laneAlone(places);
    const isDirect = lane !== undefined && session?.keepsPlans() === true;
    const isLess = (lane && lane.priority <= above) || (begins < limit && !isDirect);
    if (limit <= 0 || places.length === 0 || isLess) return Promise.resolve(undefined); // the relay makes a parcel of it
    asked = limit;
    isolation?.asks();
    const since = ports.clock.now();
    const want = { limit, begins, leaseMs: claims.leaseMs, workerId: claims.workerId };
    const taking =
      isDirect && session
        ? claimOn(session, lane, want, since)
        : claimBy(session, queuesOf(places), above, want, since);
    return taking.finally(() => {
      asked = 0;
      isolation?.answered();
    });
  }

  function claimOn(on: Session, lane: Lane, want: HintedClaim, since: Milliseconds): Promise<number> {
    return new Promise((resolve, reject) => {
      claimHinted(on, lane, want, (error, taken) => {
        try {
          if (error) throw error;
          started(taken, since);
          resolve(taken.length);
        } catch (failure) {
          reject(failure as Error);
        }
      });
    });
  }

  async function claimBy(
    on: Session | undefined,
    names: readonly string[],
    above: number,
    want: HintedClaim,
    since: Milliseconds,
  ): Promise<number> {
    const taken = await claimNext(on ?? claims.db, names, above, want);
    started(taken, since);
    await on?.keepPlans();
    return taken.length;
  }

  function started(taken: readonly FromLane[], since: Milliseconds): void {
    asked = 0;
    for (const { message } of taken) ports.start(message, since);
    const byQueue = Map.groupBy(taken, ({ message }) => message.queue);
    ports.claimed(new Map([...byQueue].map(([queue, its]) => [queue, its.map(({ lag }) => lag)])));
  }

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

function laneAlone(places: readonly string[]): Lane | undefined {
  if (places.length !== 1) return undefined;
  const { queue, priority } = fromPlace(places[0]!);
  return priority === undefined ? undefined : { queue, priority };
}

const queuesOf = (places: readonly string[]): readonly string[] => [
  ...new Set(places.map((place) => fromPlace(place).queue)),
];
