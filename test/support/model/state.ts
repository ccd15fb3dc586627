// The model of one queue: its messages, their claims and the time, as plain data. It follows docs/states.md, docs/flow.md and docs/debounce.md, and
// shares no code with the outboxes that are compared with it.

import type { Status } from '../../../src/message/message.ts';

/** The length of a lease, of a backoff and of a debounce: all times of the model are multiples of it, and a few milliseconds. */
export const unit = 3_600_000;
export const maxWait = 2 * unit;
export const maxAttempts = 2;

/** What a recording says. Its payload is its number. */
export type Content = {
  /** Whether it has the delivery key, and what happens when that is taken. */
  readonly key: 'none' | 'keep' | 'replace' | 'debounce';
  readonly order: 'a' | 'b' | null;
  /** Its death does not block its order key. */
  readonly skips: boolean;
};

export type Claim = {
  readonly worker: number;
  readonly until: number;
  /** True: it has not begun. Null: starts are not recorded. */
  readonly prefetched: boolean | null;
};

export type Row = {
  readonly content: Content;
  readonly payload: number;
  readonly status: Status;
  readonly attempts: number;
  readonly expirations: number;
  readonly due: number;
  readonly created: number;
  /** It waits behind another message of its order key. */
  readonly behind: boolean;
  /** Its place in its order key; 0 without one. */
  readonly position: number;
  readonly claim: Claim | null;
  /** A claim has taken it, or a person has ended it: its payload stays. */
  readonly touched: boolean;
  /** The older message of its delivery key that must end first. */
  readonly older: number | null;
  /** Workers that lost it after it had begun. */
  readonly lostBy: readonly number[];
  /** It was delivered, and a newer message has its delivery key. */
  readonly passed: boolean;
  // What follows is for the rules only.
  /** An earlier claim of it is over: a stale token exists. */
  readonly stale: boolean;
  /** Leases that expired after it had begun, since a person last retried it. */
  readonly losses: number;
  readonly retried: boolean;
};

export type State = {
  readonly now: number;
  readonly rows: readonly Row[];
  readonly recordings: number;
  readonly paused: boolean;
};

export const initial: State = { now: 1_000_000 * unit, rows: [], recordings: 0, paused: false };

export const waits = ({ status }: Row): boolean => status === 'pending' || status === 'failed';
export const isLive = (row: Row): boolean => waits(row) || row.status === 'sending';

/** It has the delivery key. */
export const hasKey = ({ content, status, passed }: Row): boolean =>
  content.key !== 'none' && status !== 'dead' && status !== 'cancelled' && !passed;

/** It holds back the later messages of its order key. */
export const holds = ({ content, status }: Row): boolean =>
  content.order !== null &&
  (status === 'dead' ? !content.skips : status !== 'delivered' && status !== 'cancelled');

/** Units from now on; 0: reached. */
export const unitsUntil = (time: number, now: number): number => Math.max(0, Math.ceil((time - now) / unit));

/** Two states with the same text go on in the same ways: times count in units, and places by their order. */
export function keyOf({ now, rows, recordings, paused }: State): string {
  const dues = rows.map(({ due }) => due).toSorted((a, b) => a - b);
  const positions = rows.map(({ position }) => position).toSorted((a, b) => a - b);
  return JSON.stringify([
    recordings,
    paused,
    rows.map((row) => [
      Object.values(row.content),
      row.payload,
      row.status,
      row.attempts,
      row.expirations,
      waits(row) && [unitsUntil(row.due, now), dues.indexOf(row.due), unitsUntil(row.created + maxWait, now)],
      row.behind,
      positions.indexOf(row.position),
      row.claim && [row.claim.worker, unitsUntil(row.claim.until, now), row.claim.prefetched],
      row.touched,
      row.older,
      row.lostBy,
      row.passed,
      row.stale,
      row.losses,
      row.retried,
    ]),
  ]);
}
