// How many workers a queue needs: the load that is measured, the advice, and the limit of Postgres's connections. All of it is pure.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advise, idleSeconds, type AdviceState, type QueueLook } from '../../src/scale/advice.ts';
import { fit, nextCapacities } from '../../src/scale/connections.ts';
import { nextLoad, type Load, type Sample } from '../../src/scale/load.ts';

const unlimited = { rate: null, concurrency: null, perProcess: null, perGroup: null, groups: null };

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

  it('go one at a time to the queue with the smallest share of what it wants', () => {
    const now = { most: 100, used: 80, perWorker: 10, workers: 2 };
    const all = [wanting('a', 4, 1), wanting('b', 8, 1)];
    const numbers = (its: typeof all): number[] =>
      fit(its, now, nextCapacities([], 0, now)).map(({ recommended }) => recommended);
    expect([numbers(all), numbers(all.toReversed())]).toEqual([
      [2, 2],
      [3, 1],
    ]);
  });

  it('are enough for one worker of each queue that needs some, and none of a queue that needs none', () => {
    const now = { most: 97, used: 97, perWorker: 19, workers: 0 };
    const fitted = fit([wanting('a', 3, 0), wanting('b', 0, 0)], now, nextCapacities([], 0, now));
    expect(fitted.map(({ recommended }) => recommended)).toEqual([1, 0]);
  });

  it('change nothing where they are enough, nor the reasons', () => {
    const wanted = wanting('q', 5, 2);
    const [advice] = fit([wanted], connections, nextCapacities([], 0, connections));
    expect(advice).toEqual({ ...wanted, wanted: 5 });
  });

  it('of ten minutes are kept, and an overdrawn server has room for those that run', () => {
    const over = { ...connections, used: 200 };
    const first = nextCapacities([], 0, over);
    expect(first).toEqual([[0, 2]]);
    const second = nextCapacities(first, 600, connections);
    expect(second).toEqual([
      [0, 2],
      [600, 5],
    ]);
    expect(nextCapacities(second, 601, connections)).toEqual([
      [600, 5],
      [601, 5],
    ]);
  });
});

const sample: Sample = { at: 100, backlog: 3, sending: 2, sendingAge: 4, ended: 7, slotSeconds: 9 };

describe('the load of a queue', () => {
  /** What the next sample changes, seconds after this one. */
  const after = (seconds: number, before: Partial<Load>, now: Partial<Sample>): Load =>
    nextLoad(
      { ...nextLoad(null, { ...sample, sendingAge: 0 }), ...before },
      { ...sample, sendingAge: 0, at: 100 + seconds, ...now },
    );
  /** The share of a change that shows after ten seconds, with a time constant. */
  const share = (constant: number): number => 1 - Math.exp(-10 / constant);

  it('begins with what is there, and a message takes as long as the running ones have, a tenth of a second at least', () => {
    const load = {
      at: 100,
      ended: 7,
      slotSeconds: 9,
      live: 5,
      arrival: 0,
      endedRate: 0,
      slotRate: 0,
      busyAt: 100,
    };
    expect(nextLoad(null, sample)).toEqual({ ...load, meanSeconds: 4 });
    expect(nextLoad(null, { ...sample, sendingAge: 0.05 })).toEqual({ ...load, meanSeconds: 0.1 });
  });

  it('follows changes within a minute, within ten minutes where fifty messages take as long', () => {
    for (const [arrival, constant] of [
      [1, 60],
      [50, 60],
      [0.5, 100],
      [0.05, 600],
      [0, 600],
    ] as const) {
      const load = after(
        10,
        { arrival, endedRate: 2, slotRate: 3 },
        { ended: 47, slotSeconds: 59, backlog: 13 },
      );
      expect(load.arrival).toBeCloseTo(arrival + share(constant) * (5 - arrival), 12);
      expect(load.endedRate).toBeCloseTo(2 + share(constant) * 2, 12);
      expect(load.slotRate).toBeCloseTo(3 + share(constant) * 2, 12);
      expect(load).toMatchObject({ at: 110, ended: 47, slotSeconds: 59, live: 15 });
    }
  });

  it('counts what ended, and what became more, as arrived', () => {
    const arrival = (now: Partial<Sample>): number => after(10, {}, now).arrival / share(600);
    expect(arrival({ ended: 17 })).toBeCloseTo(1, 12);
    expect(arrival({ backlog: 8, sending: 7 })).toBeCloseTo(1, 12);
    expect(arrival({ ended: 17, backlog: 0, sending: 0 })).toBeCloseTo(0.5, 12);
    expect(arrival({ backlog: 0, sending: 0 })).toBe(0);
    expect(arrival({ ended: 0, backlog: 13 })).toBeCloseTo(1, 12); // the counter was reset
  });

  it('takes the mean of those that ended once three have, until then the longest that was seen', () => {
    const before = { arrival: 1, endedRate: 0.05, slotRate: 0.2, meanSeconds: 7 };
    const ended = { ended: 8, slotSeconds: 13 }; // the same rates, over 20 seconds
    expect(after(20, before, ended).meanSeconds).toBeCloseTo(4, 12);
    expect(after(20, { ...before, endedRate: 0.049 }, ended).meanSeconds).toBe(7);
    expect(after(20, { ...before, endedRate: 0.049 }, { ...ended, sendingAge: 9 }).meanSeconds).toBe(9);
  });

  it('is busy while something waits, runs or has come', () => {
    const busyAt = (live: number, now: Partial<Sample>): number =>
      after(10, { live, busyAt: 50 }, now).busyAt;
    const none = { backlog: 0, sending: 0 };
    expect([busyAt(0, none), busyAt(0, { ...none, ended: 8 })]).toEqual([50, 110]);
    expect([busyAt(1, { ...none, ended: 8 }), busyAt(1, { ...none, sending: 1 })]).toEqual([50, 110]);
  });

  it('stays as it was at the same moment, and with a clock that was put back', () => {
    const load = nextLoad(null, sample);
    for (const at of [100, 99]) expect(nextLoad(load, { ...sample, at, ended: 99 })).toBe(load);
  });
});

describe('advice in figures', () => {
  const one: QueueLook = { ...look, sending: 5, sendingAge: 2, workers: 1 };
  const exactOf = (over: Partial<QueueLook>, others?: number) => advise(null, { ...one, ...over }, others);
  const load: Load = {
    at: 1000, ended: 0, slotSeconds: 0, live: 0, arrival: 4, endedRate: 4, slotRate: 8, meanSeconds: 2, busyAt: 1000,
  }; // prettier-ignore

  it('is what the load keeps busy at 80 %, and what clears the backlog in a minute', () => {
    const advice = exactOf({ backlog: 600 });
    expect(advice).toMatchObject({ exact: 2, recommended: 2 });
    expect(advice.reasons).toEqual([
      '0 messages/s, each 2 s in a slot: 0 slots at 80 % use',
      'a backlog of 600 is to be gone in 60 s: 20 slots',
      'a worker has 10 slots: 2 workers',
    ]);
    const steady = advise({ load, recommended: 1, needs: [] }, { ...one, sending: 0 });
    expect(steady.exact).toBe(1);
    expect(steady.reasons).toEqual([
      '4 messages/s, each 2 s in a slot: 10 slots at 80 % use',
      'a backlog of 0 is to be gone in 60 s: 0 slots',
      'a worker has 10 slots: 1 workers',
    ]);
  });

  it('keeps a number that is short of a tenth, and one that is needed no more for ten minutes', () => {
    const recommended = (backlog: number, workers: number): number =>
      exactOf({ backlog, workers }).recommended;
    expect([recommended(660, 2), recommended(661, 2), recommended(631, 2)]).toEqual([2, 3, 2]);
    const first = exactOf({ backlog: 300, workers: 3 });
    let { state } = first;
    expect([first.recommended, state.needs]).toEqual([3, [[1000, 3], [1000, 1]]]); // prettier-ignore
    expect(first.reasons.at(-1)).toBe('3 were needed within the last 10 minutes');
    const later = (at: number) => advise(state, { ...one, at, backlog: 300 });
    expect([later(1600).recommended, later(1601).recommended]).toEqual([3, 1]);
    ({ state } = later(1300));
    expect(state.needs).toEqual([[1000, 3], [1300, 1]]); // prettier-ignore
    expect(later(1601).reasons.at(-1)).toBe('a worker has 10 slots: 1 workers');
  });

  it('keeps it for three messages, where these take longer, and for an hour at most', () => {
    for (const [sendingAge, calm, words] of [
      [300, 900, '15'],
      [2_000, 3_600, '60'],
    ] as const) {
      const { state, reasons } = exactOf({ sendingAge, workers: 3 });
      expect(reasons.at(-1)).toBe(`3 were needed within the last ${words} minutes`);
      const later = (at: number): number => advise(state, { ...one, at, sendingAge }).recommended;
      expect([later(1000 + calm), later(1001 + calm)]).toEqual([3, 1]);
    }
  });

  it('is one at least while the queue is not idle, for ten minutes to the second', () => {
    const state: AdviceState = { load, recommended: 2, needs: [] };
    const at = (now: number) => advise(state, { ...look, at: now, backlog: 0, sending: 0 });
    expect([at(1000 + idleSeconds).recommended, at(1001 + idleSeconds).recommended]).toEqual([1, 0]);
  });

  it('of a closed queue is the last one, one at least until it is idle', () => {
    const closed = { ...one, closed: true };
    expect(advise(null, { ...closed, workers: 0 })).toMatchObject({
      recommended: 1,
      exact: 1,
      reasons: ['the queue is closed: more workers would deliver nothing, so the number stays'],
      state: { recommended: 1, needs: [] },
    });
    const needs = [[900, 4]] as const;
    const idle = { ...closed, at: 2000, sending: 0 };
    const was = (recommended: number) => advise({ load: { ...load, live: 0 }, recommended, needs }, idle);
    expect([was(0).recommended, was(4).recommended, was(4).state.needs]).toEqual([0, 4, needs]);
  });

  it.each<[Partial<QueueLook>, number, string[]]>([
    [{ rate: 10 }, 2.5, ["the queue's rate of 10/s keeps 25 slots busy, more would wait"]],
    [{ concurrency: 30 }, 3, ["the queue's concurrency is 30: more slots would wait"]],
    [{ concurrency: 40 }, 4, []],
    [
      { perGroup: 2, groups: 10, concurrency: 30 },
      2,
      ['messages of 10 groups wait, and 2 of each may run at a time: more slots would wait'],
    ],
    [{ perGroup: 2, groups: 0 }, 4, []],
    [{ perGroup: 2, groups: null }, 4, []],
    [{ perGroup: null, groups: 3 }, 4, []],
  ])('is bound by %j', (limits, exact, reasons) => {
    const advice = exactOf({ backlog: 1_200, ...limits }); // 40 slots
    expect(advice.exact).toBe(exact);
    expect(advice.reasons.filter((text) => text.endsWith('would wait'))).toEqual(reasons);
  });

  it('counts the slots that one process may use', () => {
    const last = (perProcess: number): unknown => {
      const { exact, reasons } = exactOf({ backlog: 600, perProcess });
      return [exact, reasons.at(-1)];
    };
    expect(last(5)).toEqual([4, "a worker may run 5 of the queue's messages at a time: 4 workers"]);
    expect(last(10)).toEqual([2, 'a worker has 10 slots: 2 workers']);
  });

  it('names the other queues of the same workers where these need some', () => {
    const shared = (sharedWith: string[], others: number): string[] =>
      exactOf({ sharedWith }, others).reasons.filter((text) => text.startsWith('its workers'));
    expect(shared(['events', 'email'], 1.234)).toEqual([
      'its workers also work events, email, which need 1.23 workers of the same slots',
    ]);
    expect([shared([], 1), shared(['events'], 0)]).toEqual([[], []]);
  });

  it.each<[string, Partial<QueueLook>, Partial<Load>, boolean]>([
    ['more waits than there are slots, and little ends', {}, {}, true],
    ['as much waits as there are slots', { backlog: 20 }, {}, false],
    ['half of the slots are taken', { sending: 10 }, {}, false],
    ['nearly half are', { sending: 9 }, {}, true],
    ['a fifth of what is possible ends', {}, { endedRate: 2 }, false],
    ['nearly a fifth does', {}, { endedRate: 1.9 }, true],
    ['there are no workers', { workers: 0 }, {}, false],
    ['the rate is limited', { rate: 100 }, {}, false],
    ['the concurrency is limited', { concurrency: 100 }, {}, false],
    ['groups are limited', { perGroup: 5, groups: 9 }, {}, false],
  ])('says whether workers are missing where %s', (_, over, its, isSaid) => {
    const at = { ...look, at: 1000, backlog: 21, sending: 0, ...over }; // two workers of ten slots, 2 s each
    const before = { ...load, arrival: 0, endedRate: 0, slotRate: 0, at: 1000, ...its };
    const { reasons } = advise({ load: before, recommended: 2, needs: [] }, at);
    expect(reasons.some((text) => text.includes('workers are not what is missing'))).toBe(isSaid);
  });
});
