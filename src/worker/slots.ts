// Who is running: one slot is one delivery at a time. What is claimed ahead waits here and starts when a slot frees. Each turn of the
// event loop starts no more than there are slots: answers of the database are read in between.

import type { Clock, Milliseconds } from '../ports.ts';
import type { Wake } from '../process/loop.ts';
import type { Pace } from './pace.ts';

/** A slot while a delivery has it. */
export type Slot = {
  /** The delivery is over, its record is under way: the next may begin. */
  leave(): void;
};

export type Work = {
  /** Ends in a settlement. */
  run(slot: Slot): Promise<void>;
  /** Instead of `run`: no slot was free in time. */
  giveBack(): Promise<void>;
  /** After either. */
  ended(): void;
};

export type Slots = {
  readonly size: number;
  /** Messages that may be claimed now. */
  room(): number;
  /** Of those, the ones that start at once. */
  free(): number;
  /** Claimed and not recorded. */
  busy(): number;
  /** Runs `work` in a slot as soon as one is free, and wakes the loop when there is room for more. */
  run(work: Work): void;
  /** Gives back what has waited longer than this for a slot. What remains asks for another look after the milliseconds that it gives. */
  shed(patience: Milliseconds): Milliseconds;
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

/** When every slot has been taken for so long, what was measured before says nothing about those that run now. */
const stuck: Milliseconds = 10;

export function createSlots(size: number, { pace, wake, clock, onError }: SlotPorts): Slots {
  let running = 0;
  let onIdle: (() => void)[] = [];
  const waiting: { readonly work: Work; readonly since: Milliseconds }[] = [];
  let delivering = 0;
  let movedAt = 0; // when a delivery last began or ended
  let scheduled = false;
  let closed = false;

  const mayStart = (): number => Math.min(size - delivering, pace.inFlight() - running);
  const ahead = (): number => (delivering >= size && clock.now() - movedAt > stuck ? 0 : pace.ahead());
  const room = (): number => Math.max(0, pace.inFlight() + ahead() - running - waiting.length);
  /** With enough on hand it is better to take more at a time. */
  const isWorthwhile = (): boolean => waiting.length === 0 || room() >= ahead() / 2;

  function track(work: Work, ending: Promise<void>, slot?: Slot): void {
    running++;
    void ended(work, ending, slot);
  }

  async function ended(work: Work, ending: Promise<void>, slot?: Slot): Promise<void> {
    await ending.catch(onError);
    slot?.leave();
    running--;
    work.ended();
    schedule();
    if (running + waiting.length > 0) return;
    for (const tell of onIdle) tell();
    onIdle = [];
  }

  function start(work: Work): void {
    if (closed) return track(work, work.giveBack());
    const began = (movedAt = clock.now());
    let left = false;
    delivering++;
    const slot: Slot = {
      leave() {
        if (left) return;
        left = true;
        delivering--;
        movedAt = clock.now();
        pace.delivered(movedAt - began);
        schedule();
      },
    };
    track(work, work.run(slot), slot);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(fill);
  }

  function fill(): void {
    scheduled = false;
    const count = Math.max(0, Math.min(waiting.length, mayStart()));
    for (const { work } of waiting.splice(0, count)) start(work);
    if (isWorthwhile()) wake.wake();
  }

  function shed(patience: Milliseconds): Milliseconds {
    if (waiting.length > 0 && delivering < size && !closed) return patience; // only records are waited for, here as anywhere
    const limit = clock.now() - patience;
    const late = waiting.findLastIndex(({ since }) => since <= limit) + 1;
    for (const { work } of waiting.splice(0, late)) track(work, work.giveBack());
    return waiting.length > 0 ? waiting[0]!.since - limit : Number.POSITIVE_INFINITY;
  }

  return {
    size,
    shed,
    room: () => (isWorthwhile() ? room() : 0),
    free: () => Math.max(0, mayStart() - waiting.length),
    busy: () => running + waiting.length,
    run(work) {
      if (waiting.length === 0 && mayStart() > 0) start(work);
      else waiting.push({ work, since: clock.now() });
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
