// The slots of a worker: one slot runs one delivery at a time. It frees when the delivery ends, before that is recorded, if the pace allows so many
// in flight (invariant D). Prefetched messages wait here for a slot. Each turn of the event loop starts at most one message per slot, so that
// database answers are read in between.

import type { Clock, Milliseconds } from '../ports.ts';
import type { Wake } from '../process/loop.ts';
import type { Pace } from './pace.ts';
import type { ReleaseCause } from './end.ts';

/** A claimed message, until its end is recorded. */
export type Work = {
  /** Of waiting messages, the highest priority starts first. */
  readonly priority: number;
  /** When it got its slot, or began to wait for one. */
  began: Milliseconds;
  /** It may run. Prefetched messages are marked as begun first (src/outbox/begun.ts). */
  isReady: boolean;
  /** Ends in a settlement, and calls `leave` and `end` of the seats. */
  run(): void;
  /** Called instead of `run`: no slot was free in time, or the worker ends. */
  release(cause: ReleaseCause): Promise<void>;
};

/** What running work calls. */
export type Seats = {
  /** The delivery is over and is being recorded: the next one may begin. */
  leave(work: Work): void;
  /** It is recorded, or failed with this error. */
  end(work: Work, error?: unknown): void;
};

/** What may be claimed although every slot is taken: `count` messages above this priority. */
export type Urgent = { readonly count: number; readonly above: number };

export type Slots = Seats & {
  readonly size: number;
  /** How many messages may be claimed now. */
  room(): number;
  /** How many of those start at once. */
  free(): number;
  urgent(): Urgent;
  /** Claimed and not recorded: the sum of the next three. */
  busy(): number;
  /** Deliveries that have a slot. */
  running(): number;
  /** Messages that wait for a slot. */
  prefetched(): number;
  /** Messages whose delivery is over, or that are released, and that are not recorded yet. */
  settling(): number;
  /** Runs `work` as soon as a slot is free, and wakes the loop when there is room for more. */
  run(work: Work): void;
  /** Releases messages that have waited longer than this for a slot. */
  shed(longest?: Milliseconds): void;
  /** Time until the loop must look again: a message will have waited for `longest`, or slots will free soon. */
  look(longest?: Milliseconds): Milliseconds;
  /** How long the end of a delivery may wait for others, to be recorded together with them. */
  gather(): Milliseconds;
  /** Releases what has not begun, now and from now on. */
  close(): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
};

export type SlotPorts = {
  readonly pace: Pace;
  readonly wake: Wake;
  readonly clock: Clock;
  /** Records that these begin, before they do. */
  readonly mark: (works: readonly Work[]) => Promise<void>;
  readonly ended: (work: Work) => void;
  readonly onError: (error: unknown) => void;
};

/** A prefetched message without a slot in this time is released: another worker may have one. */
const longestWait: Milliseconds = 100;

// oxlint-disable-next-line max-lines-per-function -- methods over the slots of one worker
export function createSlots(size: number, ports: SlotPorts): Slots {
  const { pace, wake, clock, mark, onError } = ports;
  let running = 0;
  let onIdle: (() => void)[] = [];
  let waiting: Work[] = [];
  let marking = false;
  const seats: Work[] = []; // work that has a slot, the oldest first
  let lately = 0; // priority of the work that began last
  let scheduled = false;
  let closed = false;

  const began = (): Milliseconds[] => seats.map((work) => work.began);
  const mayStart = (): number => Math.min(size - seats.length, pace.inFlight() - running);
  function room(): number {
    const now = pace.isShort() ? pace.inFlight() - running : mayStart();
    return Math.max(0, now + pace.ahead(began(), clock.now()) - waiting.length);
  }
  /** A slot is idle, or there is enough room for a claim. */
  const isWorthwhile = (): boolean => (waiting.length === 0 && mayStart() > 0) || room() >= pace.batch();

  async function release(work: Work): Promise<void> {
    running++;
    await work.release(closed ? 'shutdown' : 'no-slot').catch(onError);
    ended(work);
  }

  function ended(work: Work): void {
    running--;
    ports.ended(work);
    schedule();
    if (running + waiting.length > 0) return;
    for (const tell of onIdle) tell();
    onIdle = [];
  }

  function start(work: Work): void {
    if (closed) return void release(work);
    work.began = clock.now();
    lately = work.priority;
    seats.push(work);
    running++;
    try {
      work.run();
    } catch (error) {
      end(work, error);
    }
  }

  function leave(work: Work): void {
    const place = seats.indexOf(work);
    if (place < 0) return;
    if (place === 0) seats.shift();
    else seats.splice(place, 1);
    pace.delivered(clock.now() - work.began);
    schedule();
  }

  function end(work: Work, error?: unknown): void {
    if (error !== undefined) onError(error);
    leave(work);
    ended(work);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(fill);
  }

  function fill(): void {
    scheduled = false;
    const count = Math.max(0, Math.min(waiting.length, mayStart()));
    let ready = 0;
    while (ready < count && waiting[ready]!.isReady) ready++;
    for (const work of waiting.splice(0, ready)) start(work);
    if (ready < count && !marking) void markNext(count - ready);
    if (isWorthwhile()) wake.wake();
  }

  /** Marks more short deliveries than can start now: one statement for each turn would cost too much. */
  async function markNext(count: number): Promise<void> {
    const its = waiting.slice(0, Math.max(count, pace.marks())).filter((one) => !one.isReady);
    marking = true;
    try {
      await mark(its);
      for (const one of its) one.isReady = true;
    } catch (error) {
      onError(error);
      const left = its.filter((one) => waiting.includes(one));
      waiting = waiting.filter((one) => !its.includes(one));
      for (const work of left) void release(work); // without a mark, a crash would not count the attempt
    }
    marking = false;
    schedule();
  }

  /** Whether every slot is taken. Otherwise messages wait only for settlements, as on any worker. */
  const areTaken = (): boolean => seats.length === size || closed;

  function shed(longest = longestWait): void {
    if (!areTaken()) return;
    const limit = clock.now() - longest;
    const late = waiting.filter(({ began }) => began <= limit);
    if (late.length === 0) return;
    waiting = waiting.filter(({ began }) => began > limit);
    for (const work of late) void release(work);
    if (!closed) pace.shed(clock.now());
  }

  function look(longest = longestWait): Milliseconds {
    const now = clock.now();
    const soon = pace.aheadIn(pace.batch() + waiting.length - mayStart(), began(), now);
    if (waiting.length === 0) return soon;
    const oldest = waiting.reduce((least, { began }) => Math.min(least, began), now);
    return Math.min(soon, areTaken() ? oldest + longest - now : longest);
  }

  /** Inserts behind work of the same priority. */
  function enqueue(work: Work): void {
    const before = waiting.findLastIndex(({ priority }) => priority >= work.priority);
    work.began = clock.now();
    if (before + 1 === waiting.length) waiting.push(work);
    else waiting.splice(before + 1, 0, work);
    if (!work.isReady && mayStart() > 0) schedule();
  }

  /** The last waiting message has the lowest priority. Long deliveries are not claimed this way: another worker could start them. */
  function urgent(): Urgent {
    const above = waiting.length > 0 ? waiting.at(-1)!.priority : lately;
    const there = waiting.findLastIndex(({ priority }) => priority > above) + 1;
    const soon = Math.min(size, pace.ahead(began(), clock.now()));
    return { above, count: closed ? 0 : Math.max(0, soon - there) };
  }

  return {
    size,
    leave,
    end,
    shed,
    look,
    gather: () => (2 * seats.length >= size ? pace.gather() : 0),
    urgent,
    room: () => (isWorthwhile() ? room() : 0),
    free: () => Math.max(0, mayStart() - waiting.length),
    busy: () => running + waiting.length,
    running: () => seats.length,
    prefetched: () => waiting.length,
    settling: () => running - seats.length,
    run(work) {
      if (waiting.length === 0 && mayStart() > 0 && work.isReady) start(work);
      else enqueue(work);
    },
    close() {
      closed = true;
      shed(0);
    },
    async idle() {
      if (running + waiting.length > 0) await new Promise<void>((resolve) => void onIdle.push(resolve));
    },
  };
}
