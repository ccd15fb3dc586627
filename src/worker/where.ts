// Where work may be: one record of what this worker knows, for each queue at each priority. NOTIFY, wake-ups, polls and the ends of claims update
// it. It alone decides where to claim next, and from which bookmark on (docs/architecture.md draws its states).
//
//   nothing known ──NOTIFY, wake-up, poll──▶ to be claimed ──claim──▶ being claimed ──less than was wanted──▶ nothing known
//                                                 ▲                        │
//                                                 └── all that was wanted, ┘ or notified meanwhile

/* oxlint-disable max-lines -- one record and its changes */

import { placesIn, fromPlace } from '../outbox/notify.ts';
import type { Place } from '../outbox/waiting.ts';
import type { Milliseconds } from '../ports.ts';

/** A queue at a priority, and what this worker knows of it. */
export type Spot = Place & {
  /** Work may be there: announced since the last claim began, or that claim found all that it wanted. */
  readonly isOpen: boolean;
  /** Only a wake-up has announced it. */
  readonly isAnnounced: boolean;
  /**
   * When the last claim's last message became due, seconds since the epoch. The next claim starts there, past claimed messages: their index entries
   * stay while a transaction elsewhere is open. Undefined: it starts at the first.
   */
  readonly bookmark: number | undefined;
  /** The group behind which the next claim begins. Undefined: at the first. */
  readonly after: string | undefined;
  /** The next claim must prefetch nothing: the last one found less than it wanted, perhaps because the rest is on its last attempt. */
  readonly isExact: boolean;
};

export type Found = {
  readonly messages: number;
  /** The claim found all that it wanted, or lacked permits for it. */
  readonly isFull: boolean;
  /** Some of the messages were to be prefetched. */
  readonly isPrefetching: boolean;
  /** When the last of the messages became due, seconds since the epoch; undefined if there is none. */
  readonly lastDue: number | undefined;
  /** The group behind which the next claim of groups begins. Undefined: nothing was found, and the claim reached every group. */
  readonly after?: string | undefined;
  /** That claim passed the last group, and went on from the first. */
  readonly isLap?: boolean | undefined;
  /** The limits may have left no place for more: it is tried again after this time, or when a NOTIFY comes before. */
  readonly againMs?: Milliseconds | undefined;
};

export type Where = {
  /** A NOTIFY of the outbox arrived (src/outbox/notify.ts). */
  notified(payload: string, now: Milliseconds): void;
  /** A wake-up or a poll found due work at this place. */
  found(place: Place, isAnnounced?: boolean): void;
  /** The places to claim at now, the most urgent first. */
  ready(now: Milliseconds): readonly Spot[];
  /** A claim was sent. */
  begin(spot: Spot, now: Milliseconds): void;
  /** The claim was answered. */
  end(spot: Spot, now: Milliseconds, found: Found): void;
  /** The claim failed. @param until it is not tried again before this time */
  failed(spot: Spot, until: Milliseconds): void;
  /** Nothing is claimed from this queue before this time. */
  rest(queue: string, until: Milliseconds): void;
  /** A message of the queue has ended, which the limits counted: what waits there is claimed at once. */
  freed(queue: string, now: Milliseconds): void;
  /** A NOTIFY named no place: a poll must find the work. */
  isPollWanted(now: Milliseconds): boolean;
  /** A poll begins. */
  polling(): void;
  /** The poll ended. @param found number of places; undefined: it failed */
  polled(found: number | undefined): void;
  /** No work is known in this queue. */
  isIdle(queue: string): boolean;
  /** The next time at which a delayed place can be claimed. */
  nextAt(now: Milliseconds): Milliseconds;
};

type Record = {
  -readonly [K in keyof Spot]: Spot[K];
} & {
  isClaiming: boolean;
  /** It is open, or being claimed, only because limits may have left no place before. */
  isAgain: boolean;
  /** How often claims that found nothing have passed the last group, in a row. */
  laps: number;
  /** Claims in a row that found nothing of what was announced. */
  empty: number;
  notBefore: Milliseconds;
  /** The bookmark is valid until this time: no message waits behind it for longer. */
  bookmarkUntil: Milliseconds;
  claimedAt: Milliseconds;
  /** Serial number of its last claim: the place claimed the longest ago comes first. */
  turn: number;
  /** Set by a claim that failed. */
  pausedUntil: Milliseconds;
};

const longestDelay: Milliseconds = 64;

/**
 * Every worker of a fleet receives each NOTIFY. One whose claims found nothing answers later each time: others were faster. After each number of
 * empty claims in a row: 0, 0, 1, 2, 4 … 64 ms.
 */
export function delayAfter(empty: number): Milliseconds {
  return empty < 2 ? 0 : Math.min(longestDelay, 2 ** (empty - 2));
}

/** A bookmark is valid for this time … */
const least: Milliseconds = 250;
/** … or for this many times the duration of a claim without one, which then costs a twentieth … */
const part = 20;
/** … but no message waits behind a bookmark for longer than this. */
const most: Milliseconds = 5_000;

const nameOf = ({ queue, priority, isGrouped }: Place): string =>
  `${priority}${isGrouped ? '+' : ''} ${queue}`;

/** A claim begins anywhere: when they have passed the last group twice, claims have reached every group. */
function hasReachedAll(record: Record, isLap = false): boolean {
  if (isLap) record.laps++;
  return record.laps >= 2;
}

/** At this many records, those without work are dropped. */
const remembered = 1_000;

/**
 * @param queues queues that this worker claims from
 * @param priorities added to those of a queue's messages
 */
// oxlint-disable-next-line max-lines-per-function -- methods over one worker's records
export function createWhere(
  queues: readonly string[],
  priorities: ReadonlyMap<string, number> = new Map(),
): Where {
  const records = new Map<string, Record>();
  const rests = new Map<string, Milliseconds>();
  let isUnknown = false; // a NOTIFY said that there is work, but not where
  let unknownNotBefore: Milliseconds = 0;
  let emptyPolls = 0;
  let hasGroups = false; // since this worker started
  let turns = 0;

  function recordOf({ queue, priority, isGrouped = false }: Place): Record {
    const name = nameOf({ queue, priority, isGrouped });
    let record = records.get(name);
    if (record) return record;
    if (records.size >= remembered) forget();
    record = {
      queue,
      priority,
      isGrouped,
      after: undefined,
      laps: 0,
      isOpen: false,
      isAnnounced: false,
      isExact: false,
      bookmark: undefined,
      isClaiming: false,
      isAgain: false,
      empty: 0,
      notBefore: 0,
      bookmarkUntil: 0,
      claimedAt: 0,
      turn: 0,
      pausedUntil: 0,
    };
    records.set(name, record);
    if (isGrouped) hasGroups = true;
    return record;
  }

  function forget(): void {
    for (const [name, { isOpen, isClaiming }] of records) if (!isOpen && !isClaiming) records.delete(name);
  }

  function open(record: Record, notBefore: Milliseconds): void {
    record.notBefore = record.isOpen ? Math.min(record.notBefore, notBefore) : notBefore;
    record.isOpen = true;
    record.isAgain = false;
  }

  function openAgain(record: Record, notBefore: Milliseconds): void {
    const isAlone = !record.isOpen;
    open(record, notBefore);
    record.isAgain = isAlone;
  }

  const urgency = ({ queue, priority }: Place): number => priority + (priorities.get(queue) ?? 0);

  const readyAt = ({ queue, notBefore, pausedUntil }: Record): Milliseconds =>
    Math.max(notBefore, pausedUntil, rests.get(queue) ?? 0);
  /** Where groups wait, their claims also take the messages without a group, in turn. */
  function isCovered({ queue, priority, isGrouped }: Record): boolean {
    if (isGrouped || !hasGroups) return false;
    const its = records.get(nameOf({ queue, priority, isGrouped: true }));
    return its !== undefined && (its.isOpen || its.isClaiming);
  }

  const isReady = (record: Record, now: Milliseconds): boolean =>
    record.isOpen && !record.isClaiming && readyAt(record) <= now;

  return {
    notified(payload, now) {
      for (const place of placesIn(payload) ?? ['']) {
        const { queue, priority, isGrouped } = fromPlace(place);
        if (queue === '' ? priority !== undefined : !queues.includes(queue)) continue;
        if (priority === undefined) {
          if (!isUnknown) unknownNotBefore = now + delayAfter(emptyPolls);
          isUnknown = true;
          continue;
        }
        const record = recordOf({ queue, priority, isGrouped });
        record.isAnnounced = false;
        record.isExact = false; // it is about other messages
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
      for (const record of records.values()) if (isReady(record, now) && !isCovered(record)) its.push(record);
      return its.length < 2 ? its : its.sort((a, b) => urgency(b) - urgency(a) || a.turn - b.turn);
    },
    begin(spot, now) {
      const record = spot as Record;
      if (record.bookmarkUntil <= now) record.bookmark = undefined;
      record.isOpen = false;
      record.isClaiming = true;
      record.claimedAt = now;
      record.turn = ++turns;
    },
    end(spot, now, { messages, isFull, isPrefetching, lastDue, after, isLap, againMs }) {
      const record = spot as Record;
      const hadBookmark = record.bookmark !== undefined;
      record.isClaiming = false;
      // A claim that the limits left no place for says nothing of the groups: their turns go on where they were.
      record.after = after ?? record.after;
      const isUnreached = messages === 0 && after !== undefined && !hasReachedAll(record, isLap);
      if (!isUnreached) record.laps = 0;
      record.isExact = !isFull && isPrefetching;
      if (messages > 0) record.empty = 0;
      else if (!hadBookmark && !isFull && !record.isAgain && !isUnreached) record.empty++;
      if (isFull) {
        if (!hadBookmark)
          record.bookmarkUntil = now + Math.min(most, Math.max(least, part * (now - record.claimedAt)));
        record.bookmark = record.isGrouped ? undefined : (lastDue ?? record.bookmark);
      } else record.bookmark = undefined;
      // Due messages may be in groups that no claim reached. To look for them costs a twentieth of the time.
      if (isUnreached) openAgain(record, now + Math.min(most, part * (now - record.claimedAt)));
      else if (againMs !== undefined) openAgain(record, now + againMs);
      // Messages that failed, or committed late, are behind the bookmark.
      else if (isFull || hadBookmark || record.isExact) open(record, 0);
    },
    failed(spot, until) {
      const record = spot as Record;
      record.isClaiming = false;
      record.bookmark = undefined;
      record.pausedUntil = until;
      open(record, 0);
    },
    rest: (queue, until) => void rests.set(queue, until),
    freed(queue, now) {
      for (const record of records.values())
        if (record.queue === queue) record.notBefore = Math.min(record.notBefore, now);
    },
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
        if (record.isOpen && !record.isClaiming && at > now) next = Math.min(next, at); // otherwise it waits for room
      }
      return next;
    },
  };
}
