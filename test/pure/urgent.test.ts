import { describe, expect, it } from 'vitest';
import { createSlots } from '../../src/worker/slots.ts';

/** One slot; so many may be claimed ahead. */
function world(ahead: number) {
  const clock = { ms: 0 };
  const begun: number[] = [];
  const back: number[] = [];
  const ends: (() => void)[] = [];
  const pace = {
    delivered: () => undefined,
    claimed: () => undefined,
    shed: () => undefined,
    inFlight: () => 1,
    ahead: () => ahead,
    isShort: () => false,
    aheadIn: () => Number.POSITIVE_INFINITY,
    batch: () => 1,
    gather: () => 0,
  };
  const wake = { wake: () => undefined, wait: async () => undefined };
  const slots = createSlots(1, { pace, wake, clock: { now: () => clock.ms }, onError: () => undefined });
  return {
    slots,
    clock,
    begun,
    back,
    claim: (priority: number, named = true): void =>
      slots.run({
        ...(named ? { priority } : {}),
        run(slot) {
          begun.push(priority);
          ends.push(() => slot.end());
        },
        giveBack: async () => void back.push(priority),
        ended: () => undefined,
      }),
    async end(): Promise<void> {
      ends.shift()!();
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    },
  };
}

describe('what is urgent', () => {
  it('goes before what has no priority, which is 0', async () => {
    const { claim, end, begun } = world(10);
    claim(0);
    claim(0, false);
    claim(5);
    claim(-1);
    for (let i = 0; i < 3; i++) await end();
    expect(begun).toEqual([0, 5, 0, -1]);
  });

  it('starts before what waits for a slot, and behind what is as urgent', async () => {
    const { claim, end, begun } = world(10);
    for (const priority of [0, 0, 1, 100, 0, 100, -5, 1]) claim(priority);
    for (let i = 0; i < 7; i++) await end();
    expect(begun).toEqual([0, 100, 100, 1, 1, 0, 0, -5]);
  });

  it('may be claimed with every slot taken, as far as it would start soon: above what waits, or else above what began last', async () => {
    const { slots, claim, end } = world(2);
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
    const long = world(0);
    long.claim(0);
    expect(long.slots.urgent().count).toBe(0);
    const { slots, claim } = world(2);
    claim(0);
    slots.close();
    expect(slots.urgent().count).toBe(0);
  });

  it('D: what waited too long is given back, whatever stands before it; what came lately stays', () => {
    const { slots, claim, clock, back } = world(5);
    claim(0);
    claim(0);
    clock.ms = 100;
    claim(100);
    clock.ms = 160;
    slots.shed(150);
    expect(slots.look(150)).toBe(90);
    expect(back).toEqual([0]);
  });
});
