// Who is running: one slot is one delivery at a time; it frees when the delivery ends, before that is recorded, as far as the pace lets so
// many be in flight (invariant D). What is claimed ahead waits here and starts when a slot frees. Each turn of the event loop starts no
// more than there are slots: answers of the database are read in between.

import type { Clock, Milliseconds } from '../ports.ts';
import type { Wake } from '../process/loop.ts';
import type { Pace } from './pace.ts';
import type { ReleaseCause } from './report.ts';

/** A slot while a delivery has it. */
export type Slot = {
  /** The delivery is over, its record is under way: the next may begin. */
  leave(): void;
  /** It is recorded, or broke off with this error. */
  end(error?: unknown): void;
};

/** Writes down that these begin, before they do. */
export type Mark = (works: readonly Work[]) => Promise<void>;

export type Work = {
  /** Ends in a settlement, and tells the slot. */
  run(slot: Slot): void;
  /** Instead of `run`: no slot was free in time, or the worker ends. */
  giveBack(cause: ReleaseCause): Promise<void>;
  /** After either. */
  ended(): void;
  /** Of what waits for a slot, the highest starts first. Default 0. */
  readonly priority?: number;
  /** Of what was claimed before its slot was free: it is not run before this has resolved. */
  readonly mark?: Mark | undefined;
};

/** What may be claimed although every slot is taken: this many messages of a priority above this one. */
export type Urgent = { readonly count: number; readonly above: number };

export type Slots = {
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
  /** Claimed before their slot was free. */
  prefetched(): number;
  /** Their delivery is over, or they are given back, and that is not recorded yet. */
  settling(): number;
  /** Runs `work` in a slot as soon as one is free, and wakes the loop when there is room for more. */
  run(work: Work): void;
  /** Gives back what has waited longer than this for a slot. */
  shed(patience?: Milliseconds): void;
  /** The loop's next look, when nothing wakes it before: something will have waited for so long, or slots will free soon. */
  look(patience?: Milliseconds): Milliseconds;
  /** So long the end of a delivery may wait for others, to be recorded together with them. */
  gather(): Milliseconds;
  /** What has not begun is given back, now and from now on. */
  close(): void;
  /** Resolves when nothing runs. */
  idle(): Promise<void>;
};

export type SlotPorts = {
  readonly pace: Pace;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
};

/** `isReady`: it may run, or is given back. */
type Waiting = { readonly work: Work; readonly since: Milliseconds; isReady: boolean };

type Seats = { leave(seat: Seat): void; end(seat: Seat, error: unknown): void };

/** A class, because one is made for each message: its methods are made once. */
class Seat implements Slot {
  readonly work: Work;
  readonly began: Milliseconds;
  readonly #seats: Seats;

  constructor(work: Work, began: Milliseconds, seats: Seats) {
    this.work = work;
    this.began = began;
    this.#seats = seats;
  }

  leave(): void {
    this.#seats.leave(this);
  }

  end(error?: unknown): void {
    this.#seats.end(this, error);
  }
}

/** What was claimed ahead and found no slot in this time goes back: another worker may have one. */
const usualPatience: Milliseconds = 100;

export function createSlots(size: number, { pace, wake, clock, onError }: SlotPorts): Slots {
  let running = 0;
  let onIdle: (() => void)[] = [];
  let waiting: Waiting[] = [];
  let marking = false;
  const seats: Seat[] = []; // of the deliveries that have a slot, the oldest first
  let lately = 0; // the priority of what began last
  let scheduled = false;
  let closed = false;

  const began = (): Milliseconds[] => seats.map((seat) => seat.began);
  const mayStart = (): number => Math.min(size - seats.length, pace.inFlight() - running);
  function room(): number {
    const now = pace.isShort() ? pace.inFlight() - running : mayStart();
    return Math.max(0, now + pace.ahead(began(), clock.now()) - waiting.length);
  }
  /** A slot is idle, or there is enough for a claim. */
  const isWorthwhile = (): boolean => (waiting.length === 0 && mayStart() > 0) || room() >= pace.batch();

  const ports: Seats = {
    leave,
    end(seat, error) {
      if (error !== undefined) onError(error);
      leave(seat);
      ended(seat.work);
    },
  };

  async function giveBack(work: Work): Promise<void> {
    running++;
    await work.giveBack(closed ? 'shutdown' : 'no-slot').catch(onError);
    ended(work);
  }

  function ended(work: Work): void {
    running--;
    work.ended();
    schedule();
    if (running + waiting.length > 0) return;
    for (const tell of onIdle) tell();
    onIdle = [];
  }

  function start(work: Work): void {
    if (closed) return void giveBack(work);
    const from = clock.now();
    lately = work.priority ?? 0;
    const seat = new Seat(work, from, ports);
    seats.push(seat);
    running++;
    try {
      work.run(seat);
    } catch (error) {
      seat.end(error);
    }
  }

  function leave(seat: Seat): void {
    const place = seats.indexOf(seat);
    if (place < 0) return;
    if (place === 0) seats.shift();
    else seats.splice(place, 1);
    pace.delivered(clock.now() - seat.began);
    schedule();
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
    for (const { work } of waiting.splice(0, ready)) start(work);
    if (ready < count && !marking) void markNext(count - ready);
    if (isWorthwhile()) wake.wake();
  }

  /** Of short deliveries more are marked at once than can start now: a statement for each turn would cost too much. */
  async function markNext(count: number): Promise<void> {
    const its = waiting.slice(0, Math.max(count, pace.marks?.() ?? 0)).filter((one) => !one.isReady);
    if (its.length === 0) return;
    marking = true;
    try {
      await its[0]!.work.mark?.(its.map(({ work }) => work));
      for (const one of its) one.isReady = true;
    } catch (error) {
      onError(error);
      const left = its.filter((one) => waiting.includes(one));
      waiting = waiting.filter((one) => !its.includes(one));
      for (const { work } of left) void giveBack(work); // nobody would know that they began
    }
    marking = false;
    schedule();
  }

  /** Where a slot is free, only records are waited for, and that would be so anywhere. */
  const areTaken = (): boolean => seats.length === size || closed;

  function shed(patience = usualPatience): void {
    if (!areTaken()) return;
    const limit = clock.now() - patience;
    const late = waiting.filter(({ since }) => since <= limit);
    if (late.length === 0) return;
    waiting = waiting.filter(({ since }) => since > limit);
    for (const { work } of late) void giveBack(work);
    if (!closed) pace.shed?.(clock.now());
  }

  function look(patience = usualPatience): Milliseconds {
    const now = clock.now();
    const soon = pace.aheadIn(pace.batch() + waiting.length - mayStart(), began(), now);
    if (waiting.length === 0) return soon;
    const oldest = waiting.reduce((least, { since }) => Math.min(least, since), now);
    return Math.min(soon, areTaken() ? oldest + patience - now : patience);
  }

  /** Behind what has the same priority. */
  function enqueue(work: Work): void {
    const priority = work.priority ?? 0;
    const before = waiting.findLastIndex((other) => (other.work.priority ?? 0) >= priority);
    const one = { work, since: clock.now(), isReady: work.mark === undefined };
    if (before + 1 === waiting.length) waiting.push(one);
    else waiting.splice(before + 1, 0, one);
    if (!one.isReady && mayStart() > 0) schedule();
  }

  /** Of what waits here, the last one has the lowest priority. Nothing long is claimed that way: another worker could start it. */
  function urgent(): Urgent {
    const above = waiting.length > 0 ? (waiting.at(-1)!.work.priority ?? 0) : lately;
    const there = waiting.findLastIndex(({ work }) => (work.priority ?? 0) > above) + 1;
    const soon = Math.min(size, pace.ahead(began(), clock.now()));
    return { above, count: closed ? 0 : Math.max(0, soon - there) };
  }

  return {
    size,
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
      if (waiting.length === 0 && mayStart() > 0 && !work.mark) start(work);
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
