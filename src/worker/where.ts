// Where work may be: for each queue at each priority, one record of what this worker knows of it. NOTIFY, wake-ups and polls feed it, the ends of
// claims change it, and it alone says where to claim next and from where on (docs/architecture.md has its states as a drawing).
//
//   nothing known ──NOTIFY, wake-up, poll──▶ to be claimed ──claim──▶ being claimed ──less than was wanted──▶ nothing known
//                                                 ▲                        │
//                                                 └── all that was wanted, ┘ or heard of meanwhile

import { placesIn, fromPlace } from '../outbox/notify.ts';
import type { Place } from '../outbox/waiting.ts';
import type { Milliseconds } from '../ports.ts';

/** A queue at a priority, while this worker knows anything of it. */
export type Spot = Place & {
  /** Something may be there: heard of since its last claim began, or that claim found all that it wanted. */
  readonly isOpen: boolean;
  /** Only a wake-up has told of it. */
  readonly isAnnounced: boolean;
  /**
   * Where the last claim ended, seconds since the epoch: the next one need not walk over what is claimed already, whose entries stay in the index
   * while a transaction elsewhere is held open. Undefined: at the first.
   */
  readonly bookmark: number | undefined;
  /** The next claim is to prefetch nothing: the last one found less than was wanted, perhaps because the rest is on its last attempt. */
  readonly isExact: boolean;
};

export type Found = {
  readonly messages: number;
  /** All that was wanted; or there were not enough permits for it. */
  readonly isFull: boolean;
  /** Some of it was to be prefetched. */
  readonly isPrefetching: boolean;
  /** When the last of them became due, seconds since the epoch; undefined: there is none. */
  readonly lastDue: number | undefined;
};

export type Where = {
  /** A NOTIFY of the outbox (src/outbox/notify.ts). */
  notified(payload: string, now: Milliseconds): void;
  /** Something is due there, a wake-up or a poll says. */
  found(place: Place, isAnnounced?: boolean): void;
  /** The places to claim at now, the most urgent first. */
  ready(now: Milliseconds): readonly Spot[];
  /** A claim begins there. */
  begin(spot: Spot, now: Milliseconds): void;
  /** It is back. */
  end(spot: Spot, now: Milliseconds, found: Found): void;
  /** It failed. @param untilMs not before this is it tried again */
  failed(spot: Spot, until: Milliseconds): void;
  /** Nothing is to be claimed in this queue before. */
  rest(queue: string, until: Milliseconds): void;
  /** Somewhere, nobody said where: a poll has to find out. */
  isPollWanted(now: Milliseconds): boolean;
  /** A poll begins … */
  polling(): void;
  /** … and has found so many places; undefined: it failed. */
  polled(found: number | undefined): void;
  /** Nothing is known to be there, in this queue. */
  isIdle(queue: string): boolean;
  /** When a place is to be claimed that has to wait until then. */
  nextAt(now: Milliseconds): Milliseconds;
};

type Record = {
  -readonly [K in keyof Spot]: Spot[K];
} & {
  isClaiming: boolean;
  /** Claims in a row that found nothing. */
  empty: number;
  notBefore: Milliseconds;
  /** The bookmark counts until then: no message waits behind it for longer. */
  bookmarkUntil: Milliseconds;
  claimedAt: Milliseconds;
  /** Of its last claim among all: the place that was claimed the longest ago comes first. */
  turn: number;
  /** After a claim that failed. */
  pausedUntil: Milliseconds;
};

const longestDelay: Milliseconds = 64;

/**
 * A fleet hears each NOTIFY everywhere, so who found nothing answers the next ones later and later: the others were faster. After so many empty
 * claims in a row: 0, 0, 1, 2, 4 … 64 ms.
 */
export function delayAfter(empty: number): Milliseconds {
  return empty < 2 ? 0 : Math.min(longestDelay, 2 ** (empty - 2));
}

/** A claim from the first message follows the one before it after this time … */
const least: Milliseconds = 250;
/** … or after so many times what that one took, so that it costs a twentieth … */
const part = 20;
/** … but no message waits behind a bookmark for longer than this. */
const most: Milliseconds = 5_000;

/** Places that are remembered without work. */
const remembered = 1_000;

/** @param queues that this worker claims from */
export function createWhere(queues: readonly string[]): Where {
  const records = new Map<string, Record>();
  const rests = new Map<string, Milliseconds>();
  let isUnknown = false; // somebody said that there is work, not where
  let unknownNotBefore: Milliseconds = 0;
  let emptyPolls = 0;
  let turns = 0;

  function recordOf({ queue, priority }: Place): Record {
    const name = `${priority} ${queue}`;
    let record = records.get(name);
    if (record) return record;
    if (records.size >= remembered) forget();
    record = {
      queue,
      priority,
      isOpen: false,
      isAnnounced: false,
      isExact: false,
      bookmark: undefined,
      isClaiming: false,
      empty: 0,
      notBefore: 0,
      bookmarkUntil: 0,
      claimedAt: 0,
      turn: 0,
      pausedUntil: 0,
    };
    records.set(name, record);
    return record;
  }

  function forget(): void {
    for (const [name, { isOpen, isClaiming }] of records) if (!isOpen && !isClaiming) records.delete(name);
  }

  function open(record: Record, notBefore: Milliseconds): void {
    record.notBefore = record.isOpen ? Math.min(record.notBefore, notBefore) : notBefore;
    record.isOpen = true;
  }

  const readyAt = ({ queue, notBefore, pausedUntil }: Record): Milliseconds =>
    Math.max(notBefore, pausedUntil, rests.get(queue) ?? 0);
  const isReady = (record: Record, now: Milliseconds): boolean =>
    record.isOpen && !record.isClaiming && readyAt(record) <= now;

  return {
    notified(payload, now) {
      for (const place of placesIn(payload) ?? ['']) {
        const { queue, priority } = fromPlace(place);
        if (queue === '' ? priority !== undefined : !queues.includes(queue)) continue;
        if (priority === undefined) {
          if (!isUnknown) unknownNotBefore = now + delayAfter(emptyPolls);
          isUnknown = true;
          continue;
        }
        const record = recordOf({ queue, priority });
        record.isAnnounced = false;
        record.isExact = false; // it is something else
        open(record, now + delayAfter(record.empty));
      }
    },
    found(place, isAnnounced = false) {
      if (!queues.includes(place.queue)) return;
      const record = recordOf(place);
      if (!record.isOpen) record.isAnnounced = isAnnounced;
      record.isExact = false;
      open(record, 0);
    },
    ready(now) {
      const its: Record[] = [];
      for (const record of records.values()) if (isReady(record, now)) its.push(record);
      return its.length < 2 ? its : its.sort((a, b) => b.priority - a.priority || a.turn - b.turn);
    },
    begin(spot, now) {
      const record = spot as Record;
      if (record.bookmarkUntil <= now) record.bookmark = undefined;
      record.isOpen = false;
      record.isClaiming = true;
      record.claimedAt = now;
      record.turn = ++turns;
    },
    end(spot, now, { messages, isFull, isPrefetching, lastDue }) {
      const record = spot as Record;
      const hadBookmark = record.bookmark !== undefined;
      record.isClaiming = false;
      record.isExact = !isFull && isPrefetching;
      if (messages > 0) record.empty = 0;
      else if (!hadBookmark && !isFull) record.empty++;
      if (isFull) {
        if (!hadBookmark)
          record.bookmarkUntil = now + Math.min(most, Math.max(least, part * (now - record.claimedAt)));
        record.bookmark = lastDue ?? record.bookmark;
      } else record.bookmark = undefined;
      // Behind the bookmark is what became due before and committed late, or failed.
      if (isFull || hadBookmark || record.isExact) open(record, 0);
    },
    failed(spot, until) {
      const record = spot as Record;
      record.isClaiming = false;
      record.bookmark = undefined;
      record.pausedUntil = until;
      open(record, 0);
    },
    rest: (queue, until) => void rests.set(queue, until),
    isPollWanted: (now) => isUnknown && unknownNotBefore <= now,
    polling: () => void (isUnknown = false),
    polled(found) {
      if (found === undefined) isUnknown = true;
      else emptyPolls = found > 0 ? 0 : emptyPolls + 1;
    },
    isIdle(queue) {
      for (const record of records.values())
        if (record.queue === queue && (record.isOpen || record.isClaiming)) return false;
      return true;
    },
    nextAt(now) {
      let next = isUnknown ? Math.max(now, unknownNotBefore) : Number.POSITIVE_INFINITY;
      for (const record of records.values()) {
        const at = readyAt(record);
        if (record.isOpen && !record.isClaiming && at > now) next = Math.min(next, at); // else it waits for room
      }
      return next;
    },
  };
}
