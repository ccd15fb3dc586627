// The pace of a worker: how long its deliveries and its claims take, and what follows for how much it takes at a time. What the slots will
// start while the database is asked is claimed ahead, so that it is on hand when a slot frees. Long deliveries are never claimed before a
// slot is free: another worker could start them. What has begun and is not recorded is bounded (invariant D: little is in flight).

import type { Milliseconds } from '../ports.ts';

export type Pace = {
  delivered(ms: Milliseconds): void;
  claimed(ms: Milliseconds): void;
  /** What was claimed ahead found no slot in time: deliveries take longer than they did, and for a while nothing is. */
  shed(now: Milliseconds): void;
  /** What was claimed ahead is marked so many at a time, where that is more than can start. */
  marks(): number;
  /** They end before a claim is back: it need not count slots, only what is in flight. */
  isShort(): boolean;
  /** Deliveries that may have begun and not be recorded at a time. */
  inFlight(): number;
  /**
   * Messages that may be claimed beyond what can start now: those that slots will start within the time of two claims.
   * @param began when the deliveries that have a slot began, the oldest first
   */
  ahead(began: Iterable<Milliseconds>, now: Milliseconds): number;
  /** In how long that will be at least so many, when no slot frees before; never, when they are so many or too few already. */
  aheadIn(count: number, began: Iterable<Milliseconds>, now: Milliseconds): Milliseconds;
  /** So many are worth a claim while no slot is free. */
  batch(): number;
  /** So long the end of a delivery may wait for others, to be recorded together with them. */
  gather(): Milliseconds;
};

/** Deliveries below this do no more than the worker itself. */
const short: Milliseconds = 4;
/** Deliveries above this gain nothing by being on hand early, and another worker may have a slot for them. */
const long: Milliseconds = 250;
/** Of short ones so many are in flight as the slots deliver in this time. */
const window: Milliseconds = 20;
const most = 1_000;
/** Claimed ahead at most: what is claimed and has not begun is repeated by no crash. */
const mostAhead = 1_000;
/** What is claimed ahead starts within so many claims' time, and half a delivery more, so that fewer claims take more … */
const claims = 2;
const spare: Milliseconds = 25;
/** … and within this part of the lease. */
const partOfLease = 1 / 100;
/** A delivery that has taken longer than usual by this, and by half, tells nothing about when its slot frees. */
const late: Milliseconds = 10;
/** Of short deliveries those that begin within this time are marked together. */
const together: Milliseconds = 5;
/** After something was claimed ahead and found no slot. */
const afterShed: Milliseconds = 1_000;
/** Ends wait for others no longer than this, and than this part of a delivery. */
const longestGather: Milliseconds = 10;
const partOfDelivery = 1 / 5;
/** Weight of a new measurement. */
const weight = 1 / 64;

export function createPace(slots: number, leaseMs: Milliseconds): Pace {
  let delivery = Number.POSITIVE_INFINITY;
  let claim: Milliseconds = 0;
  let noneAheadUntil = Number.NEGATIVE_INFINITY;

  const reach = (): Milliseconds =>
    Math.min(claims * claim + Math.min(spare, delivery / 2), leaseMs * partOfLease);
  const gather = (): Milliseconds =>
    delivery < short || delivery === Number.POSITIVE_INFINITY
      ? 0
      : Math.min(longestGather, delivery * partOfDelivery);
  const isLate = (began: Milliseconds, now: Milliseconds): boolean =>
    now - began > delivery + Math.max(late, delivery / 2);
  /** What the slots start within reach, on average. */
  const usual = (free: number): number => Math.min(mostAhead, Math.floor((free * reach()) / delivery));

  return {
    isShort: () => delivery < short,
    delivered(ms) {
      delivery =
        delivery === Number.POSITIVE_INFINITY ? Math.max(ms, short) : delivery + (ms - delivery) * weight;
    },
    marks: () => (delivery < short ? Math.min(most, Math.floor((slots * together) / delivery)) : 0),
    shed: (now) => void (noneAheadUntil = now + afterShed),
    claimed(ms) {
      claim = claim === 0 ? ms : claim + (ms - claim) / 8;
    },
    inFlight() {
      const twice = 2 * slots;
      return delivery >= short
        ? twice
        : Math.max(twice, Math.min(most, Math.floor((slots * window) / delivery)));
    },
    ahead(began, now) {
      if (delivery > long || now < noneAheadUntil) return 0;
      const within = reach();
      let [overdue, timely, soon] = [0, 0, 0];
      for (const at of began) {
        if (isLate(at, now)) overdue++;
        else timely++;
        if (at + delivery - now <= within) soon++;
      }
      if (delivery <= within) return usual(slots - overdue);
      return overdue > timely ? 0 : Math.min(mostAhead, soon - overdue); // when most are late, what was measured says nothing
    },
    aheadIn(count, began, now) {
      const within = reach();
      if (delivery > long || delivery <= within || count < 1) return Number.POSITIVE_INFINITY;
      let seen = 0;
      for (const at of began) {
        if (isLate(at, now) || ++seen < count) continue;
        const ms = at + delivery - within - now;
        return ms > 0 ? ms : Number.POSITIVE_INFINITY;
      }
      return Number.POSITIVE_INFINITY;
    },
    batch: () => (delivery > long ? 1 : Math.max(1, Math.ceil(usual(slots) / 2))),
    gather,
  };
}
