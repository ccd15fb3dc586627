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
    const { slots, errors, piece } = world(2, 2);
    const work = [piece(), piece(), piece()];
    for (const one of work) slots.run(one);
    expect(work.map(({ seen }) => seen)).toEqual([['run'], ['run'], []]);
    expect([slots.busy(), slots.free()]).toEqual([3, 0]);
    work[0]!.end();
    await turn();
    expect(work.map(({ seen }) => seen)).toEqual([['run', 'ended'], ['run'], ['run']]);
    for (const one of work) one.end();
    await slots.idle();
    expect([slots.busy(), errors]).toEqual([0, []]);
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

/** What the slots tell the pace, and what they pass on to it. */
function paced(size: number, more: Partial<Pace> = {}) {
  const delivered: number[] = [];
  const shed: number[] = [];
  const asked: unknown[] = [];
  const it = world(2 * size, 0, size, {
    delivered: (ms) => void delivered.push(ms),
    shed: (now) => void shed.push(now),
    ahead: (began, now) => (asked.push({ began: [...began], now }), 0),
    aheadIn: (count, began, now) => (asked.push({ count, began: [...began], now }), 40),
    ...more,
  });
  return { ...it, delivered, shed, asked };
}

describe('the pace', () => {
  it('is given how long each delivery had its slot, once', () => {
    const { slots, clock, piece, delivered } = paced(2);
    const [one, other] = [piece(), piece()];
    slots.run(one);
    clock.ms = 5;
    slots.run(other);
    clock.ms = 20;
    slots.leave(other);
    slots.leave(other);
    clock.ms = 30;
    slots.end(one);
    expect(delivered).toEqual([15, 30]);
  });

  it('is asked with the times at which the deliveries began that have a slot', () => {
    const { slots, clock, piece, asked } = paced(3, { batch: () => 4 });
    const works = [piece(), piece(), piece()];
    for (const [i, work] of works.entries()) {
      clock.ms = 10 * i;
      slots.run(work);
    }
    slots.leave(works[1]!);
    clock.ms = 35;
    slots.room();
    expect(asked.at(-1)).toEqual({ began: [0, 20], now: 35 });
    slots.look();
    expect(asked.at(-1)).toEqual({ count: 3, began: [0, 20], now: 35 }); // one of four can start now
    for (let i = 0; i < 3; i++) slots.run(piece());
    slots.look();
    expect(asked.at(-1)).toEqual({ count: 6, began: [0, 20, 35], now: 35 });
  });

  it('is told that messages found no slot, and not when there were none, nor at the end', () => {
    const { slots, clock, piece, shed } = paced(1);
    for (let i = 0; i < 3; i++) {
      clock.ms = 50 * i;
      slots.run(piece());
    }
    clock.ms = 149;
    slots.shed();
    expect([shed, slots.prefetched()]).toEqual([[], 2]);
    clock.ms = 150;
    slots.shed();
    expect([shed, slots.prefetched()]).toEqual([[150], 1]);
    slots.close();
    expect([shed, slots.prefetched()]).toEqual([[150], 0]);
  });
});

describe('the figures of slots', () => {
  it('count what runs, what waits and what is being recorded', async () => {
    const { slots, piece } = world(8, 8, 2);
    const works = Array.from({ length: 4 }, () => piece());
    for (const work of works) slots.run(work);
    const figures = (): number[] => [
      slots.running(),
      slots.prefetched(),
      slots.settling(),
      slots.busy(),
      slots.free(),
    ];
    expect([slots.size, ...figures()]).toEqual([2, 2, 2, 0, 4, 0]);
    slots.leave(works[0]!);
    expect(figures()).toEqual([1, 2, 1, 4, 0]);
    await turn();
    expect(figures()).toEqual([2, 1, 1, 4, 0]);
    slots.end(works[0]!);
    expect(figures()).toEqual([2, 1, 0, 3, 0]);
  });

  it('are never below none: what waits may exceed the room', () => {
    const { slots, piece } = world(1, 1, 1);
    for (let i = 0; i < 4; i++) slots.run(piece());
    expect([slots.room(), slots.free()]).toEqual([0, 0]);
  });

  it('of short deliveries leave room for all that may be in flight, whatever the slots', () => {
    const { slots, piece } = world(10, 3, 2, { isShort: () => true });
    expect(slots.room()).toBe(13);
    for (let i = 0; i < 4; i++) slots.run(piece());
    expect([slots.room(), slots.free()]).toEqual([9, 0]); // two run, two wait
  });
});

describe('the loop', () => {
  it('is woken once for all that ended in a turn, and not by what it brought itself', async () => {
    const { slots, wakes, piece } = world(6, 4, 3);
    const works = Array.from({ length: 5 }, () => piece());
    for (const work of works) slots.run(work);
    await turn();
    expect(wakes.n).toBe(0);
    for (const work of works.slice(0, 3)) slots.leave(work);
    await turn();
    expect(wakes.n).toBe(1);
  });

  it('is not woken where nothing may be claimed: as many are in flight as may be', async () => {
    const { slots, wakes, piece } = world(2, 0, 2);
    const works = [piece(), piece()];
    for (const work of works) slots.run(work);
    slots.leave(works[0]!);
    await turn();
    expect([slots.running(), wakes.n]).toEqual([1, 0]);
  });

  it('is not woken by what waits for a slot, however much room there is', async () => {
    const { slots, wakes, marks, piece } = world(9, 5, 1);
    slots.run(piece());
    slots.run(piece({ prefetched: true }));
    await turn();
    expect([slots.room(), wakes.n, marks]).toEqual([4, 0, []]);
  });

  it('is not woken for less than a batch while messages wait to be marked', async () => {
    const { slots, wakes, piece } = world(2, 0, 2, { batch: () => 5 });
    slots.run(piece({ prefetched: true }));
    await turn();
    expect([slots.room(), wakes.n]).toEqual([0, 0]);
  });

  it('looks again when the first message will have waited too long, or when slots will free', () => {
    const { slots, clock, piece } = world(4, 0, 1, { aheadIn: () => 70 });
    expect(slots.look()).toBe(70);
    slots.run(piece());
    clock.ms = 20;
    slots.run(piece());
    clock.ms = 40;
    slots.run(piece());
    expect([slots.look(), slots.look(60)]).toEqual([70, 40]);
    clock.ms = 60;
    expect(slots.look()).toBe(60);
  });

  it('looks again after the longest wait where messages wait for records alone', () => {
    const { slots, clock, piece } = world(2, 0, 2);
    const works = [piece(), piece(), piece()];
    for (const work of works) slots.run(work);
    slots.leave(works[0]!);
    clock.ms = 90;
    expect([slots.look(), slots.look(30)]).toEqual([100, 30]);
  });
});

describe('a release', () => {
  it('that fails is reported, and the message counts as ended', async () => {
    const { slots, errors, piece } = world(2, 1, 1);
    const [runs, waits] = [piece(), piece()];
    waits.release = () => Promise.reject(new Error('no database'));
    for (const one of [runs, waits]) slots.run(one);
    slots.close();
    expect(slots.settling()).toBe(1);
    await turn();
    expect([errors, waits.seen, slots.busy()]).toEqual([[new Error('no database')], ['ended'], 1]);
  });

  it('is waited for by those that wait for the end, together', async () => {
    const { slots, piece } = world(2, 1, 1);
    const one = piece();
    slots.run(one);
    const ended: string[] = [];
    const waits = ['a', 'b'].map((name) => slots.idle().then(() => ended.push(name)));
    await turn();
    expect(ended).toEqual([]);
    one.end();
    await Promise.all(waits);
    expect(ended).toEqual(['a', 'b']);
  });
});

describe('a mark', () => {
  it('is one statement at a time', async () => {
    const { slots, marks, piece } = world(8, 8, 3);
    const runs = piece();
    slots.run(runs);
    const prefetched = [piece({ prefetched: true }), piece({ prefetched: true })];
    slots.run(prefetched[0]!);
    await turn();
    slots.run(prefetched[1]!);
    slots.leave(runs);
    await turn();
    expect(marks.map(({ works }) => works)).toEqual([[prefetched[0]]]);
    marks[0]!.answer();
    await turn();
    expect(marks.map(({ works }) => works)).toEqual([[prefetched[0]], [prefetched[1]]]);
    marks[1]!.answer();
    await turn();
    expect(prefetched.map(({ seen }) => seen)).toEqual([['run'], ['run']]);
  });

  it('is of as many as can start now, without those that are ready', async () => {
    const { slots, marks, piece } = world(8, 8, 2);
    const runs = [piece(), piece()];
    const [ready, first, second] = [piece(), piece({ prefetched: true }), piece({ prefetched: true })];
    for (const one of [...runs, ready, first, second]) slots.run(one);
    for (const one of runs) slots.leave(one);
    await turn();
    expect([ready.seen, marks.map(({ works }) => works)]).toEqual([['run'], [[first]]]);
  });

  it('is not of those that are ready behind it, and these do not overtake it', async () => {
    const { slots, marks, piece } = world(8, 8, 3, { marks: () => 3 });
    const [first, ready, second] = [piece({ prefetched: true }), piece(), piece({ prefetched: true })];
    for (const one of [first, ready, second]) slots.run(one);
    await turn();
    expect([ready.seen, marks.map(({ works }) => works)]).toEqual([[], [[first, second]]]);
    marks[0]!.answer();
    await turn();
    expect([first, ready, second].map(({ seen }) => seen)).toEqual([['run'], ['run'], ['run']]);
  });

  it('that fails releases what it was for and still waits, and nothing else', async () => {
    const { slots, marks, errors, clock, piece } = world(8, 8, 2);
    const works = Array.from({ length: 4 }, () => piece({ prefetched: true }));
    for (const one of works) slots.run(one);
    await turn();
    expect(marks[0]!.works).toEqual(works.slice(0, 2));
    marks[0]!.answer(new Error('no database'));
    await turn();
    expect(errors).toHaveLength(1);
    expect(works.map(({ seen }) => seen[0])).toEqual([
      'released: no-slot',
      'released: no-slot',
      undefined,
      undefined,
    ]);
    expect(marks[1]!.works).toEqual(works.slice(2));
    clock.ms = 100;
    slots.close(); // releases them while their mark is under way
    marks[1]!.answer(new Error('no database'));
    await turn();
    expect(works.map(({ seen }) => seen.filter((one) => one.startsWith('released')).length)).toEqual([
      1, 1, 1, 1,
    ]);
  });
});
