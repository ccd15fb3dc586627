// Who is running: one slot is one delivery at a time; it frees when the delivery ends, before that is recorded, as far as the pace lets so
// many be in flight (invariant D). What is claimed ahead waits here and starts when a slot frees. Each turn of the event loop starts no
// more than there are slots: answers of the database are read in between.

import type { Clock, Milliseconds } from '../ports.ts';
import type { Wake } from '../process/loop.ts';
import type { Pace } from './pace.ts';
import type { ReleaseCause } from './end.ts';

/** A message that was claimed, until its end is recorded. */
export type Work = {
  /** Of what waits for a slot, the highest starts first. */
  readonly priority: number;
  /** When it got its slot, or began to wait for one. */
  began: Milliseconds;
  /** It may run. Of what was prefetched that is written down before (src/outbox/begun.ts). */
  isReady: boolean;
  /** Ends in a settlement, and tells the seats. */
  run(): void;
  /** Instead of `run`: no slot was free in time, or the worker ends. */
  release(cause: ReleaseCause): Promise<void>;
};

/** What work that runs tells. */
export type Seats = {
  /** The delivery is over, its record is under way: the next may begin. */
  leave(work: Work): void;
  /** It is recorded, or broke off with this error. */
  end(work: Work, error?: unknown): void;
};

/** What may be claimed although every slot is taken: this many messages of a priority above this one. */
export type Urgent = { readonly count: number; readonly above: number };

export type Slots = Seats & {
  readonly size: number;
  /** Messages that may be claimed now. */
  room(): number;
  /** Of those, the ones that start at once. */
  free(): number;
  urgent(): Urgent;
  /** Claimed and not recorded: the sum of the three that follow. */
  busy(): number;
  /** Deliveries that have a slot. */
  running(): number;
  /** Waiting for a slot. */
  prefetched(): number;
  /** Their delivery is over, or they are released, and that is not recorded yet. */
  settling(): number;
  /** Runs `work` in a slot as soon as one is free, and wakes the loop when there is room for more. */
  run(work: Work): void;
  /** Releases what has waited longer than this for a slot. */
  shed(longest?: Milliseconds): void;
  /** The loop's next look, when nothing wakes it before: something will have waited for so long, or slots will free soon. */
  look(longest?: Milliseconds): Milliseconds;
  /** So long the end of a delivery may wait for others, to be recorded together with them. */
  gather(): Milliseconds;
  /** What has not begun is released, now and from now on. */
  close(): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
};

export type SlotPorts = {
  readonly pace: Pace;
  readonly wake: Wake;
  readonly clock: Clock;
  /** Writes down that these begin, before they do. */
  readonly mark: (works: readonly Work[]) => Promise<void>;
  /** After each end. */
  readonly ended: (work: Work) => void;
  readonly onError: (error: unknown) => void;
};

/** What was prefetched and found no slot in this time is released: another worker may have one. */
const longestWait: Milliseconds = 100;

export function createSlots(size: number, ports: SlotPorts): Slots {
  const { pace, wake, clock, mark, onError } = ports;
  let running = 0;
  let onIdle: (() => void)[] = [];
  let waiting: Work[] = [];
  let marking = false;
  const seats: Work[] = []; // those that have a slot, the oldest first
  let lately = 0; // the priority of what began last
  let scheduled = false;
  let closed = false;

  const began = (): Milliseconds[] => seats.map((work) => work.began);
  const mayStart = (): number => Math.min(size - seats.length, pace.inFlight() - running);
  function room(): number {
    const now = pace.isShort() ? pace.inFlight() - running : mayStart();
    return Math.max(0, now + pace.ahead(began(), clock.now()) - waiting.length);
  }
  /** A slot is idle, or there is enough for a claim. */
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

  /** Of short deliveries more are marked at once than can start now: a statement for each turn would cost too much. */
  async function markNext(count: number): Promise<void> {
    const its = waiting.slice(0, Math.max(count, pace.marks())).filter((one) => !one.isReady);
    if (its.length === 0) return;
    marking = true;
    try {
      await mark(its);
      for (const one of its) one.isReady = true;
    } catch (error) {
      onError(error);
      const left = its.filter((one) => waiting.includes(one));
      waiting = waiting.filter((one) => !its.includes(one));
      for (const work of left) void release(work); // nobody would know that they began
    }
    marking = false;
    schedule();
  }

  /** Where a slot is free, only records are waited for, and that would be so anywhere. */
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

  /** Behind what has the same priority. */
  function enqueue(work: Work): void {
    const before = waiting.findLastIndex(({ priority }) => priority >= work.priority);
    work.began = clock.now();
    if (before + 1 === waiting.length) waiting.push(work);
    else waiting.splice(before + 1, 0, work);
    if (!work.isReady && mayStart() > 0) schedule();
  }

  /** Of what waits here, the last one has the lowest priority. Nothing long is claimed that way: another worker could start it. */
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
