// Hours of a queue whose workers follow the advice. Real: the advice and the load. Doubled: time, the messages and the workers.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advise, type AdviceState } from '../../src/scale/advice.ts';

/** Numbers in [0, 1), the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How many come in a second when `rate` come on average. */
const unlimited = { rate: null, concurrency: null, perProcess: null, perGroup: null, groups: null };

function poisson(rate: number, random: () => number): number {
  if (rate > 50)
    return Math.max(0, Math.round(rate + Math.sqrt(rate) * 3.4 * (random() + random() + random() - 1.5)));
  const floor = Math.exp(-rate);
  let product = random();
  let n = 0;
  for (; product > floor; n++) product *= random();
  return n;
}

type World = {
  readonly seconds: number;
  /** Messages per second, at a time. */
  readonly rate: (second: number) => number;
  /** How long one takes. */
  readonly meanSeconds: number;
  readonly slots: number;
  /** From advice to a worker that takes messages. */
  readonly startSeconds?: number;
  readonly seed?: number;
};

type Record = { readonly second: number; readonly recommended: number; readonly backlog: number };

/** A queue whose workers follow the advice: arrivals by chance, durations by chance, workers that need time to start. */
function simulate({ seconds, rate, meanSeconds, slots, startSeconds = 20, seed = 1 }: World): Record[] {
  const random = randomOf(seed);
  const told: Record[] = [];
  let state: AdviceState | null = null;
  let backlog = 0;
  let ended = 0;
  let slotSeconds = 0;
  let workers = 1;
  const starting: { at: number; to: number }[] = [];
  const running: { since: number; until: number }[] = [];
  for (let second = 0; second < seconds; second++) {
    backlog += poisson(rate(second), random);
    const free = (): number => workers * slots - running.length;
    // Short ones run several times in a second: so many end in it as the slots can do.
    if (meanSeconds < 1) {
      const done = Math.min(backlog, Math.floor((workers * slots) / meanSeconds));
      backlog -= done;
      ended += done;
      slotSeconds += done * meanSeconds;
    } else {
      for (let i = running.length - 1; i >= 0; i--)
        if (running[i]!.until <= second) {
          slotSeconds += second - running[i]!.since;
          running.splice(i, 1);
          ended++;
        }
      for (; backlog > 0 && free() > 0; backlog--)
        running.push({ since: second, until: second + meanSeconds * (0.5 + random()) });
    }
    const due = starting.filter(({ at }) => at <= second);
    for (const start of due) workers = Math.max(workers, start.to);
    starting.splice(0, starting.length, ...starting.filter(({ at }) => at > second));
    if (second % 10 !== 9) continue;
    const busy =
      meanSeconds < 1
        ? Math.min(
            workers * slots,
            Math.round(rate(second) * meanSeconds + (backlog > 0 ? workers * slots : 0)),
          )
        : running.length;
    const age = running.reduce((sum, { since }) => sum + second - since, 0) / Math.max(1, running.length);
    const look = {
      queue: 'q',
      at: second,
      backlog,
      sending: busy,
      sendingAge: age,
      ended,
      slotSeconds,
      workers,
    } as const;
    const advice = advise(state, {
      ...look,
      slotsPerWorker: slots,
      ...unlimited,
      sharedWith: [],
      closed: false,
    });
    state = advice.state;
    if (advice.recommended > workers) starting.push({ at: second + startSeconds, to: advice.recommended });
    else workers = Math.max(advice.recommended, 0);
    told.push({ second, recommended: advice.recommended, backlog });
  }
  return told;
}

const changes = (told: readonly Record[]): number =>
  told.filter(({ recommended }, i) => i > 0 && recommended !== told[i - 1]!.recommended).length;
const after = (told: readonly Record[], second: number): Record[] =>
  told.filter((one) => one.second >= second);

describe('a queue that follows the advice', () => {
  it('does not flap and does not starve, whatever the steady load', () => {
    const load = fc.record({
      rate: fc.double({ min: 0.5, max: 80, noNaN: true }),
      meanSeconds: fc.double({ min: 1, max: 30, noNaN: true }),
      slots: fc.integer({ min: 2, max: 50 }),
      seed: fc.integer(),
    });
    const changed: number[] = [];
    fc.assert(
      fc.property(load, ({ rate, ...world }) => {
        const told = after(simulate({ ...world, rate: () => rate, seconds: 2 * 3600 }), 1800);
        const least = Math.min(...told.map(({ recommended }) => recommended));
        const most = Math.max(...told.map(({ recommended }) => recommended));
        expect(least).toBeGreaterThanOrEqual(Math.floor((rate * world.meanSeconds) / world.slots)); // busy at 100 % at the least
        expect(most - least).toBeLessThanOrEqual(Math.max(2, Math.ceil(most / 3)));
        expect(changes(told)).toBeLessThanOrEqual(18); // in an hour and a half: by chance, near the border between two numbers
        changed.push(changes(told));
        for (const { backlog } of told) expect(backlog).toBeLessThanOrEqual(60 * rate + 60);
      }),
      { numRuns: 15 },
    );
    expect(changed.reduce((sum, n) => sum + n, 0) / changed.length).toBeLessThan(4);
  });

  it('takes a load that comes and goes every two minutes as one load', () => {
    const told = simulate({
      seconds: 7200,
      rate: (s) => (s % 240 < 120 ? 40 : 4),
      meanSeconds: 2,
      slots: 10,
    });
    const numbers = after(told, 1800).map(({ recommended }) => recommended);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(8); // 10 for the one half, 1 for the other
    expect(Math.max(...numbers)).toBeLessThanOrEqual(13);
    expect(changes(after(told, 1800))).toBeLessThanOrEqual(15); // forty-five halves
  });

  it('follows a load that grows tenfold within two minutes, and goes back when it is over', () => {
    const told = simulate({
      seconds: 7200,
      rate: (s) => (s > 1800 && s < 3600 ? 50 : 5),
      meanSeconds: 2,
      slots: 10,
    });
    const at = (second: number) => told.find((one) => one.second >= second)!.recommended;
    expect(at(1700)).toBeLessThanOrEqual(3);
    expect(at(1920)).toBeGreaterThanOrEqual(10);
    expect(at(7100)).toBeLessThanOrEqual(3);
  });

  it('is rid of twenty thousand messages at once within five minutes, its workers’ start included', () => {
    const told = simulate({
      seconds: 3600,
      rate: (s) => (s === 600 ? 20_000 : 1),
      meanSeconds: 1.5,
      slots: 10,
    });
    expect(Math.max(...after(told, 900).map(({ backlog }) => backlog))).toBeLessThan(100);
    expect(after(told, 3000).every(({ recommended }) => recommended <= 2)).toBe(true);
  });

  it('sees that slots are full of messages that take ten minutes, before the first of them ends', () => {
    const told = simulate({ seconds: 3 * 3600, rate: () => 0.1, meanSeconds: 600, slots: 10 });
    expect(
      Math.max(...told.filter(({ second }) => second < 500).map((one) => one.recommended)),
    ).toBeGreaterThan(1);
    for (const { backlog } of after(told, 1800)) expect(backlog).toBeLessThan(20); // 60 are under way
    expect(Math.max(...told.map(({ recommended }) => recommended))).toBeLessThanOrEqual(12); // 8 are needed
    expect(changes(after(told, 5400))).toBeLessThanOrEqual(4);
  });
});
