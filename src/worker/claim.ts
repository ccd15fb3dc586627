// One claim of a worker: how much it may take, how much of that begins at once, and which connection runs it. The rest is prefetched, but never a
// message on its last attempt: a crash could kill it before it began.

import type { Database } from '../db/pool.ts';
import type { Executor } from '../db/executor.ts';
import type { DedicatedConnection } from '../db/dedicated.ts';
import {
  claimSome,
  claimSql,
  claimValues,
  claimWaiting,
  type Lease,
  type WaitingClaim,
} from '../outbox/claim.ts';
import { claimGroups } from '../outbox/claim-groups.ts';
import { claimNamed } from '../outbox/claim-named.ts';
import { claimedOf, rowOf, type Claimed } from '../outbox/claimed.ts';
import type { Milliseconds, Clock } from '../ports.ts';
import type { Known, KnownLimits } from './limits.ts';
import type { BookedPermit, Permits } from './permits.ts';
import type { Rate } from '../queues/limits.ts';
import type { Place } from '../outbox/waiting.ts';
import type { Slots } from './slots.ts';
import type { Spot } from './where.ts';

export type ClaimPorts = Lease & {
  readonly db: Database;
  /** For claims that are a single statement. Default: `db`. */
  readonly planned?: Executor;
  /** For queues with a rate. */
  readonly permitsOf: (queue: string, rate: Rate) => Permits;
};

export type Taken = {
  readonly claimed: readonly Claimed[];
  /** One permit for each message, if the queue has a rate. */
  readonly permits: readonly BookedPermit[];
  /** Every permit is used, and there were fewer than wanted: more messages may be due. */
  readonly isScarce: boolean;
  /** Time until more permits are free. */
  readonly restMs: Milliseconds;
  /** Of a claim of groups: the group behind which the next one begins. */
  readonly after?: string | undefined;
  /** Of a claim of groups: it passed the last one, and went on from the first. */
  readonly isLap?: boolean;
};

/** @param after of groups: the one behind which the claim begins */
export type Ask = Omit<WaitingClaim, keyof Lease | 'known'> & {
  readonly known: Known | undefined;
  readonly after?: string | undefined;
};
type Whole = Omit<Ask, 'known'> & Lease;

/** Does not throw. */
export type Told = (error: Error | null, taken: Taken) => void;

const nothing: Taken = { claimed: [], permits: [], isScarce: false, restMs: 0 };

/** @param session where a NOTIFY arrived, if it keeps plans: its process is awake, and its answer needs no promise (npm run bench -- latency) */
export function claimAt(
  claim: Ask,
  { db, planned = db, permitsOf, leaseMs, workerId }: ClaimPorts,
  session: DedicatedConnection | undefined,
  told: Told,
): void {
  const { known, ...rest } = claim;
  const whole = { ...rest, leaseMs, workerId };
  const { isGrouped } = claim;
  if (session && !known && !isGrouped) {
    const values = claimValues(whole).map((value) => (value === null ? null : String(value)));
    return session.ask(claimSql, values, (error, rows) => {
      if (error) return told(error, nothing);
      let claimed: readonly Claimed[];
      try {
        claimed = claimedOf(rows.map(rowOf), claim);
      } catch (unreadable) {
        return told(unreadable as Error, nothing);
      }
      told(null, { ...nothing, claimed });
    });
  }
  const rate = known?.limits.rate;
  const claiming = rate
    ? db.transaction((tx) => claimWithPermits(tx, permitsOf(claim.queue, rate), whole, known))
    : claimOn(planned, whole, known);
  claiming.then(
    (taken) => told(null, taken),
    (error: unknown) => told(error as Error, nothing),
  );
}

/** Also from a queue with limits, or from its groups. */
async function claimOn(db: Executor, claim: Whole, limits: Known | undefined): Promise<Taken> {
  const asked = { ...claim, known: limits?.text };
  if (claim.isGrouped) {
    const { claimed, next, isLap } = await claimGroups(db, { ...asked, isWorker: true });
    return { ...nothing, claimed, after: next, isLap };
  }
  return { ...nothing, claimed: await (limits ? claimSome : claimWaiting)(db, asked) };
}

async function claimWithPermits(tx: Executor, rate: Permits, claim: Whole, limits: Known): Promise<Taken> {
  const { count, restMs, book } = await rate(tx, claim.limit);
  if (count === 0) return { ...nothing, isScarce: true, restMs };
  const taken = await claimOn(tx, { ...claim, limit: count, begins: count }, limits);
  const { length } = taken.claimed;
  const isScarce = count < claim.limit && length === count;
  return { ...taken, permits: await book(length), isScarce, restMs: isScarce ? restMs : 0 };
}

/** Claims one message that a person lets through the pause of its queue. */
export async function claimNamedOf(
  queue: string,
  { db, permitsOf, leaseMs, workerId }: ClaimPorts,
  known: Known | undefined,
): Promise<Taken> {
  const take = (tx: Executor): Promise<Claimed[]> =>
    claimNamed(tx, queue, { leaseMs, workerId }, known?.text ?? null);
  const rate = known?.limits.rate;
  if (!rate) return { ...nothing, claimed: await take(db) };
  return db.transaction(async (tx) => {
    const booking = await permitsOf(queue, rate)(tx, 1);
    if (booking.count === 0) return nothing;
    const claimed = await take(tx);
    return { ...nothing, claimed, permits: await booking.book(claimed.length) };
  });
}

export type Want = {
  readonly limit: number;
  readonly begins: number;
  /** Every slot is taken, but the priority is above that of the waiting messages. */
  readonly isUrgent?: true;
};

export type Room = {
  /**
   * @param sharing number of places that share the room, with this one
   * @param mayPrefetch false: only messages that begin at once
   */
  of(spot: Spot, sharing: number, mayPrefetch: boolean): Want;
  /** Nothing may be prefetched from it, and no slot is free: it would wait for as long as other places prefetch. */
  isStarved(spot: Spot): boolean;
  /** A claim with this limit was sent. */
  asked(place: Place, want: Want): void;
  /** The claim was answered. */
  answered(place: Place, want: Want): void;
  claimed(queue: string, got: readonly Claimed[]): void;
  started(queue: string): void;
  ended(queue: string): void;
  /** Claimed messages of the queue whose end is not recorded. */
  inHand(queue: string): number;
};

const none: Want = { limit: 0, begins: 0 };

/** How long nothing is prefetched from a queue after a message on its last attempt: more of those are likely. */
const lastAttempts: Milliseconds = 5_000;

// oxlint-disable-next-line max-lines-per-function -- methods over the counts of one worker
export function createRoom(slots: Slots, limits: KnownLimits, clock: Clock): Room {
  const unprefetched = new Map<string, Milliseconds>(); // ends of the pauses, by queue
  const inHand = new Map<string, number>(); // by queue; includes what unanswered claims may bring
  let asked = 0;
  let askedUrgently = 0;

  const leftOf = (queue: string): number => limits.perProcess(queue) - (inHand.get(queue) ?? 0);

  function count(queue: string, by: number): void {
    inHand.set(queue, (inHand.get(queue) ?? 0) + by);
  }

  const isExact = ({ queue, isExact, isGrouped }: Spot): boolean =>
    isExact ||
    isGrouped === true ||
    limits.of(queue) !== undefined ||
    Number.isFinite(limits.perProcess(queue)) ||
    (unprefetched.get(queue) ?? 0) > clock.now();

  return {
    of(spot, sharing, mayPrefetch) {
      const free = Math.min(leftOf(spot.queue), slots.free() - asked);
      // More than can begin is claimed only after a claim that was full. So at rest each claim has the same values (src/db/dedicated.ts).
      const isFirst = spot.bookmark === undefined && free > 0;
      const mayWait = mayPrefetch && !isFirst && !isExact(spot);
      const most = mayWait ? Math.max(free, slots.room() - asked) : free;
      if (most > 0)
        return { limit: Math.ceil(most / sharing), begins: Math.max(0, Math.ceil(free / sharing)) };
      if (isExact(spot)) return none;
      const { count: urgent, above } = slots.urgent();
      return spot.priority > above ? { limit: urgent - askedUrgently, begins: 0, isUrgent: true } : none;
    },
    isStarved: (spot) => isExact(spot) && leftOf(spot.queue) > 0 && slots.free() - asked <= 0,
    asked({ queue }, { limit, isUrgent }) {
      if (isUrgent) askedUrgently += limit;
      else asked += limit;
      count(queue, limit);
    },
    answered({ queue }, { limit, isUrgent }) {
      if (isUrgent) askedUrgently -= limit;
      else asked -= limit;
      count(queue, -limit);
    },
    claimed(queue, got) {
      if (got.some(({ message: { attempt, maxAttempts } }) => attempt >= maxAttempts))
        unprefetched.set(queue, clock.now() + lastAttempts);
    },
    started: (queue) => count(queue, 1),
    ended: (queue) => count(queue, -1),
    inHand: (queue) => inHand.get(queue) ?? 0,
  };
}
