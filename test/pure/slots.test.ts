import { describe, expect, it } from 'vitest';
import { createSlots, type Slot, type Slots, type Work } from '../../src/worker/slots.ts';

type Piece = Work & { slot?: Slot; readonly end: () => void; readonly seen: string[] };

function piece(): Piece {
  const { promise, resolve } = Promise.withResolvers<void>();
  const seen: string[] = [];
  const self: Piece = {
    seen,
    end: resolve,
    async run(slot) {
      self.slot = slot;
      seen.push('run');
      await promise;
    },
    async giveBack() {
      seen.push('given back');
    },
    ended: () => void seen.push('ended'),
  };
  return self;
}

function world(inFlight: number, ahead: number): { slots: Slots; clock: { ms: number }; errors: unknown[] } {
  const clock = { ms: 0 };
  const errors: unknown[] = [];
  const pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    inFlight: () => inFlight,
    ahead: () => ahead,
  };
  const wake = { wake: () => undefined, wait: async () => undefined };
  const onError = (error: unknown): void => void errors.push(error);
  return { slots: createSlots(2, { pace, wake, clock: { now: () => clock.ms }, onError }), clock, errors };
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
    expect(slots.shed(150)).toBe(50);
    expect(work[2]!.seen).toEqual([]);
    clock.ms = 150;
    expect(slots.shed(150)).toBe(Number.POSITIVE_INFINITY);
    expect(work[2]!.seen).toEqual(['given back']);
    const later = piece();
    slots.run(later);
    work[0]!.slot!.leave();
    clock.ms = 1_000;
    slots.shed(150);
    expect(later.seen).toEqual([]);
  });

  it('nothing is claimed ahead while every slot has been taken for a while', () => {
    const { slots, clock } = world(2, 5);
    slots.run(piece());
    slots.run(piece());
    expect(slots.room()).toBe(5);
    clock.ms = 50;
    expect(slots.room()).toBe(0);
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
      run: async () => Promise.reject(new Error('broken')),
      giveBack: async () => undefined,
      ended: () => undefined,
    };
    slots.run(broken);
    await slots.idle();
    expect(slots.free()).toBe(2);
    expect(errors).toEqual([new Error('broken')]);
  });
});
