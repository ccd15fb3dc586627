// The pace of a worker: how long its deliveries and its claims take, and what follows for how much it takes at a time. Short deliveries
// are claimed ahead, so that the next are on hand while the database is asked, and they need not wait for the record of those before
// them. Long ones are never claimed before a slot is free: another worker could start them (invariant D: little is in flight).

import type { Milliseconds } from '../ports.ts';

export type Pace = {
  delivered(ms: Milliseconds): void;
  claimed(ms: Milliseconds): void;
  /** Messages that may be started and not recorded at a time. Never fewer than the slots. */
  inFlight(): number;
  /** Messages that may be claimed beyond those. */
  ahead(): number;
};

/** Deliveries below this do no more than the worker itself: a slot need not stay with one until it is recorded. */
const short: Milliseconds = 4;
/** Deliveries above this gain nothing by being on hand early, and another worker may have a slot for them. */
const long: Milliseconds = 250;
/** What is in flight then is what the slots deliver in this time. */
const window: Milliseconds = 20;
const most = 500;
/** What is claimed ahead starts within so many claims' time … */
const claims = 2;
/** … and within this part of the lease, on average. */
const partOfLease = 1 / 100;
/** Weight of a new measurement. A long one counts at once and is forgotten slowly. */
const weight = 1 / 64;

export function createPace(slots: number, leaseMs: Milliseconds): Pace {
  let delivery = Number.POSITIVE_INFINITY;
  let claim: Milliseconds = 0;
  return {
    delivered(ms) {
      delivery =
        delivery === Number.POSITIVE_INFINITY ? Math.max(ms, short) : delivery + (ms - delivery) * weight;
    },
    claimed(ms) {
      claim = claim === 0 ? ms : claim + (ms - claim) / 8;
    },
    inFlight() {
      if (delivery >= short) return slots;
      return Math.max(slots, Math.min(most, Math.floor((slots * window) / delivery)));
    },
    ahead() {
      if (delivery > long) return 0;
      const reach = Math.min(claims * claim, leaseMs * partOfLease);
      return Math.min(most, Math.floor((slots * reach) / delivery));
    },
  };
}
