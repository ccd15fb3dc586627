import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Pace } from '../../src/worker/pace.ts';
import { createSlots, type Slot, type Slots, type Work } from '../../src/worker/slots.ts';

type Piece = Work & { slot?: Slot; readonly end: () => void; readonly seen: string[] };

function piece(): Piece {
  const { promise, resolve } = Promise.withResolvers<void>();
  const seen: string[] = [];
  const self: Piece = {
    seen,
    end: resolve,
    run(slot) {
      self.slot = slot;
      seen.push('run');
      void promise.then(() => slot.end());
    },
    async giveBack() {
      seen.push('given back');
    },
    ended: () => void seen.push('ended'),
  };
  return self;
}

type World = { slots: Slots; clock: { ms: number }; errors: unknown[]; wakes: { n: number } };

function world(inFlight: number, ahead: number, size = 2, more: Partial<Pace> = {}): World {
  const clock = { ms: 0 };
  const errors: unknown[] = [];
  const pace: Pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    shed: () => undefined,
    isShort: () => false,
    inFlight: () => inFlight,
    ahead: () => ahead,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 1,
    gather: () => 10,
    ...more,
  };
  const wakes = { n: 0 };
  const wake = { wake: () => void wakes.n++, wait: async () => undefined };
  const onError = (error: unknown): void => void errors.push(error);
  const slots = createSlots(size, { pace, wake, clock: { now: () => clock.ms }, onError });
  return { slots, clock, errors, wakes };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('slots', () => {
  it('start as many as there are, the others when one frees', async () => {
    const { slots } = world(2, 2);
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
    const { slots } = world(3, 5);
    const work = Array.from({ length: 5 }, piece);
    for (const one of work) slots.run(one);
    work[0]!.slot!.leave();
    work[1]!.slot!.leave();
    await turn();
    expect(work.map(({ seen }) => seen.length)).toEqual([1, 1, 1, 0, 0]);
    work[0]!.end();
    await turn();
    expect(work.map(({ seen }) => seen.length)).toEqual([2, 1, 1, 1, 0]);
  });

  it('what waited too long for a slot is given back, and what only waits for records is not', () => {
    const { slots, clock } = world(2, 5);
    const work = [piece(), piece(), piece()];
    for (const one of work) slots.run(one);
    clock.ms = 100;
    slots.shed(150);
    expect(work[2]!.seen).toEqual([]);
    expect(slots.look(150)).toBe(50);
    clock.ms = 150;
    slots.shed(150);
    expect(work[2]!.seen).toEqual(['given back']);
    expect(slots.look(150)).toBe(Number.POSITIVE_INFINITY);
    const later = piece();
    slots.run(later);
    work[0]!.slot!.leave();
    clock.ms = 1_000;
    slots.shed(150);
    expect(later.seen).toEqual([]);
  });

  it('while every slot is taken, only a batch is worth a claim; a slot that is idle is worth one alone', async () => {
    let ahead = 2;
    const { slots, wakes } = world(4, 0, 2, {
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
    work[0]!.slot!.leave();
    await turn();
    expect(slots.room()).toBe(1);
    expect(wakes.n).toBe(1);
  });

  it('what ends while half of the slots are taken waits for the others, to be recorded with them', () => {
    const { slots } = world(8, 0, 4);
    slots.run(piece());
    expect(slots.gather()).toBe(0);
    slots.run(piece());
    expect(slots.gather()).toBe(10);
  });

  it('D: never more deliveries at a time than slots, never more begun and not recorded than may be in flight', async () => {
    const step = fc.record({
      what: fc.constantFrom('claim', 'claim', 'leave', 'record'),
      which: fc.nat({ max: 100 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(step, { maxLength: 60 }),
        async (size, steps) => {
          const { slots } = world(2 * size, size, size);
          const all: (Piece & { left?: boolean; recorded?: boolean })[] = [];
          const begun = () => all.filter((one) => one.seen.includes('run'));
          for (const { what, which } of steps) {
            const running = begun().filter((one) => !one.recorded);
            const one = running[which % Math.max(1, running.length)];
            if (what === 'claim' && slots.room() > 0) slots.run(all[all.push(piece()) - 1]!);
            if (what === 'leave' && one) one.slot!.leave();
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

  it('a close gives back what has not begun, and lets the others end', async () => {
    const { slots } = world(2, 5);
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
      ['given back', 'ended'],
    ]);
    expect(after.seen).toEqual(['given back', 'ended']);
  });

  it('work that breaks off frees its slot, and somebody hears of it', async () => {
    const { slots, errors } = world(2, 0);
    const broken: Work = {
      run: (slot) => slot.end(new Error('broken')),
      giveBack: async () => undefined,
      ended: () => undefined,
    };
    slots.run(broken);
    await slots.idle();
    expect(slots.free()).toBe(2);
    expect(errors).toEqual([new Error('broken')]);
  });
});
