// The pace of a worker: the measured times of its deliveries and claims, and how much it claims because of them. It prefetches what the slots will
// start during a claim. Long deliveries are never prefetched: another worker could start them. The number of deliveries that have begun and are not
// recorded is bounded (invariant D).

import type { Milliseconds } from '../ports.ts';

export type Pace = {
  delivered(ms: Milliseconds): void;
  claimed(ms: Milliseconds): void;
  /** Prefetched messages found no slot in time: deliveries take longer than before. For a while nothing is prefetched. */
  shed(now: Milliseconds): void;
  /** How many prefetched messages one statement marks, if that is more than can start now. */
  marks(): number;
  /** Deliveries end before a claim is answered: only what is in flight limits claims, not slots. */
  isShort(): boolean;
  /** How many deliveries may have begun and not be recorded. */
  inFlight(): number;
  /**
   * How many messages may be claimed beyond what can start now: as many as slots will start within two claims.
   * @param began when the deliveries that have a slot began, the oldest first
   */
  ahead(began: Iterable<Milliseconds>, now: Milliseconds): number;
  /** Time until `ahead` reaches `count` if no slot frees before. Infinite if it has already, or too few deliveries run. */
  aheadIn(count: number, began: Iterable<Milliseconds>, now: Milliseconds): Milliseconds;
  /** How many messages are worth a claim while no slot is free. */
  batch(): number;
  /** How long the end of a delivery may wait for others, to be recorded together with them. */
  gather(): Milliseconds;
};

/** Shorter deliveries cost no more than the worker's own work. */
const short: Milliseconds = 4;
/** Longer deliveries gain nothing from prefetching, and another worker may have a slot for them. */
const long: Milliseconds = 250;
/** As many short deliveries may be in flight as the slots deliver in this time. */
const window: Milliseconds = 20;
const most = 1_000;
/** Most prefetched messages. A crash cannot duplicate them, because they have not begun. */
const mostAhead = 1_000;
/** Prefetched messages start within this many claims' time and half a delivery (at most `spare`), so that fewer claims take more … */
const claims = 2;
const spare: Milliseconds = 25;
/** … and within this part of the lease. */
const partOfLease = 1 / 100;
/** A delivery that exceeds the usual time by this, and by half, does not predict when its slot frees. */
const late: Milliseconds = 10;
/** Short deliveries that begin within this time are marked together. */
const together: Milliseconds = 5;
/** Pause of prefetching after prefetched messages found no slot. */
const afterShed: Milliseconds = 1_000;
/** An end waits for others no longer than this, and than this part of a delivery. */
const longestGather: Milliseconds = 10;
const partOfDelivery = 1 / 5;
/** Weight of a new measurement. */
const weight = 1 / 64;

// oxlint-disable-next-line max-lines-per-function -- methods over the measured times of one worker
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
      return overdue > timely ? 0 : Math.min(mostAhead, soon - overdue); // when most are late, the measured time predicts nothing
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
