import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advise, idleSeconds, type AdviceState, type QueueLook } from '../../src/scale/advice.ts';
import { fit, nextCapacities } from '../../src/scale/connections.ts';

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

const look: QueueLook = {
  queue: 'q',
  at: 1000,
  backlog: 0,
  sending: 0,
  sendingAge: 0,
  ended: 0,
  slotSeconds: 0,
  workers: 2,
  slotsPerWorker: 10,
  ...unlimited,
  sharedWith: [],
  closed: false,
};

describe('advice', () => {
  it('is nobody for a queue that has been idle for ten minutes, and somebody with its first message', () => {
    let state = advise(null, look).state;
    for (let at = 1010; at < 1000 + idleSeconds; at += 10) {
      const advice = advise(state, { ...look, at });
      expect(advice.recommended).toBeGreaterThanOrEqual(1);
      state = advice.state;
    }
    const idle = advise(state, { ...look, at: 1010 + idleSeconds });
    expect(idle.recommended).toBe(0);
    expect(idle.reasons.at(-1)).toBe('nothing has come for 10 minutes');
    expect(advise(idle.state, { ...look, at: 1020 + idleSeconds, backlog: 1 }).recommended).toBe(1);
  });

  it('keeps the number of a closed queue, whatever waits in it', () => {
    const { state } = advise(null, look);
    const advice = advise(state, { ...look, at: 1010, backlog: 1_000_000, closed: true });
    expect(advice.recommended).toBe(2);
    expect(advice.reasons.join()).toContain('closed');
  });

  it('is no more than a queue’s rate can keep busy', () => {
    const busy = { ...look, backlog: 100_000, sending: 20, sendingAge: 3, workers: 1 };
    expect(advise(null, busy).recommended).toBe(500); // 3 s each, in a minute
    const advice = advise(null, { ...busy, rate: 10 });
    expect(advice.recommended).toBe(4); // 10/s for 3 s at 80 %
    expect(advice.reasons.join()).toContain('rate of 10/s');
  });

  it('is no more than concurrency and limits of each group leave room for, and says so', () => {
    const busy = { ...look, backlog: 100_000, sending: 20, sendingAge: 3, workers: 1 };
    const limited = advise(null, { ...busy, concurrency: 35, perGroup: 2, groups: 40 });
    expect(limited.recommended).toBe(4);
    expect(limited.reasons.join()).toContain('concurrency is 35');
    const few = advise(null, { ...busy, concurrency: 35, perGroup: 2, groups: 3 });
    expect(few.recommended).toBe(1);
    expect(few.reasons.join()).toContain('messages of 3 groups wait, and 2 of each may run at a time');
    const narrow = advise(null, { ...busy, concurrency: 35, perProcess: 5 });
    expect(narrow.recommended).toBe(7);
    expect(narrow.reasons.join()).toContain('a worker may run 5');
  });

  it('counts what the other queues of the same workers need', () => {
    const busy = { ...look, backlog: 600, sending: 20, sendingAge: 1, sharedWith: ['events'] };
    expect(advise(null, busy).recommended).toBe(2);
    const advice = advise(null, busy, 4.5);
    expect(advice.recommended).toBe(6);
    expect(advice.exact).toBeCloseTo(1);
    expect(advice.reasons.join()).toContain('its workers also work events, which need 4.5 workers');
  });

  it('says that workers are not what is missing, where slots stay free and messages wait', () => {
    const stuck = { ...look, backlog: 3_000, sending: 3, sendingAge: 0.1, workers: 1, slotsPerWorker: 25 };
    let { state } = advise(null, stuck);
    for (let at = 1010; at < 1200; at += 10) {
      const ended = (at - 1000) * 4; // four a second, each a tenth of a second
      const advice = advise(state, { ...stuck, at, ended, slotSeconds: ended / 10 });
      state = advice.state;
      expect(advice.reasons.join()).toContain('workers are not what is missing. Look at the database');
    }
    const working = advise(null, { ...look, backlog: 3_000, sending: 20, sendingAge: 5 });
    const ended = 200; // what twenty slots of one second end in ten seconds
    const reasons = advise(working.state, {
      ...look,
      at: 1010,
      sending: 20,
      backlog: 2_800,
      ended,
      slotSeconds: 200,
    }).reasons;
    expect(reasons.join()).not.toContain('not what is missing');
  });

  it('is not led astray by a sample of the same moment, nor by a counter that was reset', () => {
    const { state } = advise(null, { ...look, ended: 1000 });
    expect(advise(state, { ...look, ended: 2000 }).state.load).toEqual(state.load);
    expect(advise(state, { ...look, at: 1010, ended: 0 }).state.load.arrival).toBe(0);
  });
});

describe('the connections of Postgres', () => {
  const connections = { most: 97, used: 40, perWorker: 19, workers: 2 };
  const wanting = (queue: string, recommended: number, workers: number) => ({
    ...advise(null, { ...look, queue }),
    recommended,
    exact: recommended - 0.5,
    workers,
  });

  it('cut what is wanted, and the reasons say so', () => {
    const capacities = nextCapacities([], 0, connections);
    const [advice] = fit([wanting('q', 9, 2)], connections, capacities);
    expect(advice).toMatchObject({ wanted: 9, recommended: 5, exact: 5 }); // two run, 57 connections are left for three
    expect(advice!.reasons.at(-1)).toContain('connections for 3 more workers');
  });

  it('count as few as they were within ten minutes', () => {
    let capacities = nextCapacities([], 0, { ...connections, used: 80 });
    capacities = nextCapacities(capacities, 10, connections);
    expect(fit([wanting('q', 9, 2)], connections, capacities)[0]!.recommended).toBe(2);
    capacities = nextCapacities(capacities, 601, connections);
    expect(fit([wanting('q', 9, 2)], connections, capacities)[0]!.recommended).toBe(5);
  });

  it('are never promised twice, go to all who want some, and nobody is told to stop for them', () => {
    const queue = fc.record({ recommended: fc.nat(40), workers: fc.nat(20) });
    const rules = fc.record({ used: fc.nat(500), perWorker: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(queue, { maxLength: 6 }), rules, (queues, { used, perWorker }) => {
        const workers = queues.reduce((sum, one) => sum + one.workers, 0);
        const now = { most: 500, used, perWorker, workers };
        const all = queues.map((one, i) => wanting(`q${i}`, one.recommended, one.workers));
        const fitted = fit(all, now, nextCapacities([], 0, now));
        const base = (one: (typeof all)[number]): number =>
          Math.min(one.recommended, Math.max(1, one.workers));
        const more = fitted.reduce((sum, one, i) => sum + one.recommended - base(all[i]!), 0);
        expect(more).toBeLessThanOrEqual(Math.floor((500 - used) / perWorker));
        for (const [i, one] of fitted.entries()) {
          expect(one.recommended).toBeGreaterThanOrEqual(base(all[i]!));
          expect(one.recommended).toBeLessThanOrEqual(one.wanted);
          expect(one.exact).toBeLessThanOrEqual(one.recommended);
        }
      }),
    );
  });
});
