// Who is running. Real: src/worker/slots.ts. Doubled: the pace (fixed figures), time, the work, and the statement that writes down what begins.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Pace } from '../../src/worker/pace.ts';
import { createSlots, type Slots, type Work } from '../../src/worker/slots.ts';

type Piece = Work & { readonly end: () => void; readonly seen: string[] };
type World = {
  slots: Slots;
  clock: { ms: number };
  errors: unknown[];
  wakes: { n: number };
  /** What was written down to begin, and how each statement is answered. */
  marks: { readonly works: readonly Work[]; answer(error?: Error): void }[];
  piece(options?: { priority?: number; prefetched?: boolean }): Piece;
};

function world(inFlight: number, ahead: number, size = 2, more: Partial<Pace> = {}): World {
  const clock = { ms: 0 };
  const errors: unknown[] = [];
  const pace: Pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    shed: () => undefined,
    marks: () => 0,
    isShort: () => false,
    inFlight: () => inFlight,
    ahead: () => ahead,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 1,
    gather: () => 10,
    ...more,
  };
  const wakes = { n: 0 };
  const marks: World['marks'] = [];
  const slots = createSlots(size, {
    pace,
    wake: { wake: () => void wakes.n++, wait: async () => undefined },
    clock: { now: () => clock.ms },
    mark: (works) =>
      new Promise((resolve, reject) => {
        marks.push({ works, answer: (error) => (error ? reject(error) : resolve()) });
      }),
    ended: (work) => void (work as Piece).seen.push('ended'),
    onError: (error) => void errors.push(error),
  });
  function piece({ priority = 0, prefetched = false } = {}): Piece {
    const { promise, resolve } = Promise.withResolvers<void>();
    const seen: string[] = [];
    const self: Piece = {
      seen,
      priority,
      began: 0,
      isReady: !prefetched,
      end: resolve,
      run() {
        seen.push('run');
        void promise.then(() => slots.end(self));
      },
      release: async (cause) => void seen.push(`released: ${cause}`),
    };
    return self;
  }
  return { slots, clock, errors, wakes, marks, piece };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('slots', () => {
  it('start as many as there are, the others when one frees', async () => {
    const { slots, piece } = world(2, 2);
    const work = [piece(), piece(), piece()];
    for (const one of work) slots.run(one);
    expect(work.map(({ seen }) => seen)).toEqual([['run'], ['run'], []]);
    expect([slots.busy(), slots.free()]).toEqual([3, 0]);
    work[0]!.end();
    await turn();
    expect(work.map(({ seen }) => seen)).toEqual([['run', 'ended'], ['run'], ['run']]);
    for (const one of work) one.end();
    await slots.idle();
    expect(slots.busy()).toBe(0);
  });

  it('a delivery that leaves its slot before it is recorded makes room, as far as that many may be in flight', async () => {
    const { slots, piece } = world(3, 5);
    const work = Array.from({ length: 5 }, () => piece());
    for (const one of work) slots.run(one);
    slots.leave(work[0]!);
    slots.leave(work[1]!);
    await turn();
    expect(work.map(({ seen }) => seen.length)).toEqual([1, 1, 1, 0, 0]);
    work[0]!.end();
    await turn();
    expect(work.map(({ seen }) => seen.length)).toEqual([2, 1, 1, 1, 0]);
  });

  it('what waited too long for a slot is released, and what only waits for records is not', () => {
    const { slots, clock, piece } = world(2, 5);
    const work = [piece(), piece(), piece()];
    for (const one of work) slots.run(one);
    clock.ms = 100;
    slots.shed(150);
    expect(work[2]!.seen).toEqual([]);
    expect(slots.look(150)).toBe(50);
    clock.ms = 150;
    slots.shed(150);
    expect(work[2]!.seen).toEqual(['released: no-slot']);
    expect(slots.look(150)).toBe(Number.POSITIVE_INFINITY);
    const later = piece();
    slots.run(later);
    slots.leave(work[0]!);
    clock.ms = 1_000;
    slots.shed(150);
    expect(later.seen).toEqual([]);
  });

  it('while every slot is taken, only a batch is worth a claim; a slot that is idle is worth one alone', async () => {
    let ahead = 2;
    const { slots, wakes, piece } = world(4, 0, 2, {
      ahead: () => ahead,
      batch: () => 3,
      aheadIn: (count) => count,
    });
    const work = [piece(), piece()];
    for (const one of work) slots.run(one);
    expect(slots.room()).toBe(0);
    expect(slots.look(150)).toBe(3);
    ahead = 3;
    expect(slots.room()).toBe(3);
    ahead = 0;
    expect(wakes.n).toBe(0);
    slots.leave(work[0]!);
    await turn();
    expect(slots.room()).toBe(1);
    expect(wakes.n).toBe(1);
  });

  it('what ends while half of the slots are taken waits for the others, to be recorded with them', () => {
    const { slots, piece } = world(8, 0, 4);
    slots.run(piece());
    expect(slots.gather()).toBe(0);
    slots.run(piece());
    expect(slots.gather()).toBe(10);
  });
});

describe('what runs', () => {
  it('D: is never more deliveries at a time than slots, never more begun and not recorded than may be in flight', async () => {
    const step = fc.record({
      what: fc.constantFrom('claim', 'claim', 'leave', 'record'),
      which: fc.nat({ max: 100 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(step, { maxLength: 60 }),
        async (size, steps) => {
          const { slots, piece } = world(2 * size, size, size);
          const all: (Piece & { left?: boolean; recorded?: boolean })[] = [];
          const begun = () => all.filter((one) => one.seen.includes('run'));
          for (const { what, which } of steps) {
            const running = begun().filter((one) => !one.recorded);
            const one = running[which % Math.max(1, running.length)];
            if (what === 'claim' && slots.room() > 0) slots.run(all[all.push(piece()) - 1]!);
            if (what === 'leave' && one) slots.leave(one);
            if (what === 'leave' && one) one.left = true;
            if (what === 'record' && one) one.end();
            if (what === 'record' && one) one.recorded = true;
            await turn();
            const open = begun().filter((each) => !each.recorded);
            expect(open.length).toBeLessThanOrEqual(2 * size);
            expect(open.filter((each) => !each.left).length).toBeLessThanOrEqual(size);
          }
          for (const one of all) one.end();
          await slots.idle();
          expect(begun().length).toBe(all.length);
        },
      ),
    );
  });

  it('ends by itself after a close, and what has not begun is released', async () => {
    const { slots, piece } = world(2, 5);
    const work = [piece(), piece(), piece()];
    for (const one of work) slots.run(one);
    slots.close();
    const after = piece();
    slots.run(after);
    for (const one of work) one.end();
    await slots.idle();
    expect(work.map(({ seen }) => seen)).toEqual([
      ['run', 'ended'],
      ['run', 'ended'],
      ['released: shutdown', 'ended'],
    ]);
    expect(after.seen).toEqual(['released: shutdown', 'ended']);
  });

  it('frees its slot when it breaks off, and its error is reported', async () => {
    const { slots, errors, piece } = world(2, 0);
    const [ends, throws] = [piece(), piece()];
    ends.run = () => slots.end(ends, new Error('broken'));
    throws.run = () => {
      throw new Error('worse');
    };
    for (const one of [ends, throws]) slots.run(one);
    await slots.idle();
    expect(slots.free()).toBe(2);
    expect(errors).toEqual([new Error('broken'), new Error('worse')]);
    expect([ends.seen, throws.seen]).toEqual([['ended'], ['ended']]);
  });
});

describe('what was prefetched', () => {
  it('E: begins when it is written down that it does, and waits without a statement until a slot is free', async () => {
    const { slots, marks, piece } = world(2, 2, 1);
    const [first, next] = [piece(), piece({ prefetched: true })];
    for (const one of [first, next]) slots.run(one);
    await turn();
    expect(marks).toEqual([]);
    first.end();
    await turn();
    expect([marks.map(({ works }) => works), next.seen]).toEqual([[[next]], []]);
    marks[0]!.answer();
    await turn();
    expect(next.seen).toEqual(['run']);
  });

  it('E: does not begin when that could not be written down: it is released, and the error is reported', async () => {
    const { slots, marks, errors, piece } = world(2, 2, 1);
    const one = piece({ prefetched: true });
    slots.run(one);
    await turn();
    marks[0]!.answer(new Error('no database'));
    await slots.idle();
    expect([one.seen, errors]).toEqual([['released: no-slot', 'ended'], [new Error('no database')]]);
  });

  it('of short deliveries is written down together, more than can start', async () => {
    const { slots, marks, piece } = world(8, 8, 1, { marks: () => 3 });
    const works = Array.from({ length: 5 }, () => piece({ prefetched: true }));
    for (const one of works) slots.run(one);
    await turn();
    expect(marks.map((one) => one.works)).toEqual([works.slice(0, 3)]);
    marks[0]!.answer();
    await turn();
    works[0]!.end();
    await turn();
    expect(works.map(({ seen }) => seen.includes('run'))).toEqual([true, true, false, false, false]);
    expect(marks).toHaveLength(1);
  });
});

/** One slot; so many may be prefetched. */
function urgency(ahead: number) {
  const it = world(1, ahead, 1);
  const all: Piece[] = [];
  return {
    ...it,
    begun: () => all.filter(({ seen }) => seen.includes('run')),
    claim: (priority: number): void => it.slots.run(all[all.push(it.piece({ priority })) - 1]!),
    all,
    async end(): Promise<void> {
      all.find(({ seen }) => seen.at(-1) === 'run')!.end();
      await turn();
    },
  };
}

describe('what is urgent', () => {
  it('starts before what waits for a slot, and behind what is as urgent', async () => {
    const { slots, claim, end, all } = urgency(10);
    const order: number[] = [];
    for (const priority of [0, 0, 1, 100, 0, 100, -5, 1]) claim(priority);
    for (const [i, one] of all.entries())
      one.run = () => (order.push(i), queueMicrotask(() => slots.end(one)));
    await end();
    for (let i = 0; i < 8; i++) await turn();
    expect(order).toEqual([3, 5, 2, 7, 1, 4, 6]);
  });

  it('may be claimed with every slot taken, as far as it would start soon: above what waits, or else above what began last', async () => {
    const { slots, claim, end } = urgency(2);
    claim(3);
    expect(slots.urgent()).toEqual({ above: 3, count: 1 });
    claim(0);
    expect(slots.urgent()).toEqual({ above: 0, count: 1 });
    claim(100);
    expect(slots.urgent()).toEqual({ above: 0, count: 0 });
    await end();
    expect(slots.urgent()).toEqual({ above: 0, count: 1 });
  });

  it('is not claimed where a slot frees too late, nor when nothing may start any more', () => {
    const long = urgency(0);
    long.claim(0);
    expect(long.slots.urgent().count).toBe(0);
    const { slots, claim } = urgency(2);
    claim(0);
    expect(slots.urgent().count).toBe(1);
    slots.close();
    expect(slots.urgent().count).toBe(0);
  });

  it('D: what waited too long is released, whatever stands before it; what came lately stays', () => {
    const { slots, claim, clock, all } = urgency(5);
    claim(0);
    claim(0);
    clock.ms = 100;
    claim(100);
    clock.ms = 160;
    slots.shed(150);
    expect(slots.look(150)).toBe(90);
    expect(all.map(({ seen }) => seen)).toEqual([['run'], ['released: no-slot'], []]);
  });
});
