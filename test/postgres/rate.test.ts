import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  graceMs,
  lockPermits,
  nextPermitIn,
  planRate,
  returnPermits,
  makePermits,
  type Permit,
} from '../../src/queues/rate.ts';
import { rateOf } from '../../src/queues/limits.ts';
import { listQueues, registerQueues } from '../../src/queues/queues.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase({ max: 25 });
});
afterAll(() => database.end());

// The statements of the rate under a clock of the test's own: workers that book, deliver and are late, providers that are quick or slow.

type Story = {
  readonly rate: number;
  readonly workers: number;
  readonly slots: number;
  /** Of a handover, least and most. */
  readonly takes: readonly [number, number];
  /** After how much of it the provider sees the message, least and most, in ms from its start. */
  readonly seen: readonly [number, number];
  /** How late a start is: usually, at most, and in one of so many. */
  readonly late: readonly [number, number, number];
  /** The share of permits that are never given back. */
  readonly deaths: number;
  readonly seconds: number;
  readonly seed: number;
};

/** A small generator of numbers in [0, 1) (mulberry32), so that a story can be told again. */
function randomOf(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

let serial = 0;

/** What the provider saw, in ms. */
async function play(story: Story): Promise<number[]> {
  const { db } = database;
  const queue = `story${serial++}`;
  const plan = planRate(rateOf(story.rate));
  await makePermits(db, queue, plan);
  const random = randomOf(story.seed);
  const between = ([low, high]: readonly [number, number]): number => low + (high - low) * random();
  const [usually, most, every] = story.late;
  const lateness = (): number => (random() * every < 1 ? between([usually, most]) : usually * random());
  const begin = Date.UTC(2026, 0, 1);
  const end = begin + story.seconds * 1_000;
  const events: { at: number; run: () => Promise<void> }[] = [];
  const arrivals: number[] = [];
  const later = (at: number, run: () => Promise<void>): void => {
    const i = events.findIndex((event) => event.at > at);
    events.splice(i < 0 ? events.length : i, 0, { at, run });
  };
  const quick = story.takes[1] <= 30;

  function worker(): (at: number) => Promise<void> {
    let busy = 0;
    let rested = 0;
    async function ask(at: number): Promise<void> {
      if (at < rested || busy >= story.slots || at > end) return;
      const want = story.slots - busy;
      const { permits, scarce } = await db.transaction(async (tx) => {
        const locked = await lockPermits(tx, queue, plan, want, new Date(at));
        return { scarce: locked.scarce, permits: await locked.book(want) };
      });
      for (const permit of permits) deliver(permit, at, at + permit.wait);
      if (scarce) rested = at + (plan.horizonMs * (1 + random())) / 4;
      later(scarce ? rested : at + 5, () => ask(Math.max(rested, at + 5)));
    }
    function deliver(permit: Permit, at: number, slot: number): void {
      busy++;
      const start = Math.max(slot, at + 3) + lateness();
      const done = start + between(story.takes);
      const dies = random() < story.deaths;
      const known = Math.min(done, quick ? done : start + 30);
      later(start, async () => void arrivals.push(Math.min(done, start + between(story.seen))));
      const back = () => returnPermits(db, queue, plan, [{ permit, late: known - slot }]);
      if (!dies) later(known + 5 * random(), back);
      later(done, async () => {
        busy--;
        await ask(done);
      });
    }
    return ask;
  }
  for (let i = 0; i < story.workers; i++) {
    const at = begin + 50 * random();
    const ask = worker();
    later(at, () => ask(at));
  }
  for (let event = events.shift(); event; event = events.shift()) await event.run();
  return arrivals.map((at) => at - begin).toSorted((a, b) => a - b);
}

/** Most arrivals in any span of this length, however it is cut. */
function fullest(arrivals: readonly number[], span: number): number {
  let most = 0;
  for (let from = 0, to = 0; to < arrivals.length; to++) {
    while (arrivals[to]! - arrivals[from]! >= span) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

const used = (arrivals: readonly number[], rate: number): number =>
  (arrivals.length - 1) / ((arrivals.at(-1)! - arrivals[0]!) / 1_000) / rate;

const calm = { late: [2, 4, 10], deaths: 0, seconds: 12, seed: 1 } as const;
const quick = { takes: [3, 12], seen: [1, 12] } as const;
const slow = { takes: [150, 600], seen: [20, 45] } as const;

describe('a rate is never exceeded in any second and used to at least 95 %', () => {
  it.each<[string, Story]>([
    ['one worker', { ...calm, ...quick, rate: 40, workers: 1, slots: 25 }],
    ['twenty workers', { ...calm, ...quick, rate: 40, workers: 20, slots: 25 }],
    ['twenty workers, two a second', { ...calm, ...quick, rate: 2, workers: 20, slots: 25, seconds: 40 }],
    ['one worker with few slots', { ...calm, ...quick, rate: 100, workers: 1, slots: 4 }],
    ['a rate with a fraction', { ...calm, ...quick, rate: 2.5, workers: 3, slots: 5, seconds: 40 }],
    ['less than one a second', { ...calm, ...quick, rate: 0.5, workers: 3, slots: 5, seconds: 120 }],
    ['a slow provider', { ...calm, ...slow, rate: 30, workers: 2, slots: 25 }],
    ['twenty workers, a slow provider', { ...calm, ...slow, rate: 60, workers: 20, slots: 25 }],
  ])('%s', async (_, story) => {
    const arrivals = await play(story);
    const { permits, windowMs } = planRate(rateOf(story.rate));
    expect(fullest(arrivals, windowMs)).toBeLessThanOrEqual(permits);
    expect(fullest(arrivals, 1_000)).toBeLessThanOrEqual(Math.ceil(story.rate));
    expect(used(arrivals, story.rate)).toBeGreaterThanOrEqual(0.95);
  });

  it('never exceeded however late the workers are', async () => {
    const stories = fc.record({
      rate: fc.constantFrom(1, 3, 7.5, 20, 55),
      workers: fc.integer({ min: 1, max: 12 }),
      slots: fc.integer({ min: 1, max: 25 }),
      takes: fc.constant([2, 25] as const),
      seen: fc.constant([0, 25] as const),
      late: fc.tuple(
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 40, max: 3_000 }),
        fc.integer({ min: 2, max: 20 }),
      ),
      deaths: fc.constantFrom(0, 0.05),
      seconds: fc.constant(5),
      seed: fc.integer({ min: 10, max: 1e9 }),
    });
    await fc.assert(
      fc.asyncProperty(stories, async (story) => {
        const arrivals = await play(story);
        const { permits, windowMs } = planRate(rateOf(story.rate));
        expect(fullest(arrivals, windowMs)).toBeLessThanOrEqual(permits);
      }),
      { numRuns: 25 },
    );
  });

  it('without permits it would be exceeded: the test can fail', () => {
    const burst = Array.from({ length: 100 }, (_, i) => i * 5);
    expect(fullest(burst, 1_000)).toBe(100);
  });
});

describe('permits', () => {
  const plan = planRate(rateOf(20));
  const book = (queue: string, want: number, use = want, by = plan) =>
    database.db.transaction(async (tx) => (await lockPermits(tx, queue, by, want)).book(use));

  it('workers that book at the same time get different ones and do not wait for one another', async () => {
    await makePermits(database.db, 'together', plan);
    const all = await Promise.all(Array.from({ length: 20 }, () => book('together', 3)));
    const used_ = all.flatMap((permits) => permits.map(({ n }) => n));
    expect(new Set(used_).size).toBe(used_.length);
    expect(used_.length).toBeLessThanOrEqual(20);
  });

  it('what was asked for and not used is free for others', async () => {
    await makePermits(database.db, 'unused', plan);
    expect(await book('unused', 5, 0)).toEqual([]);
    expect((await book('unused', 5)).map(({ wait }) => Math.round(wait))).toEqual([0, 52, 104, 156, 208]); // spread, not at once
  });

  it('one that nobody gives back is free after its grace; only who knows its slot can give it back', async () => {
    const one = planRate(rateOf(1));
    await makePermits(database.db, 'single', one);
    const [permit, ...more] = await book('single', 5, 5, one);
    expect([permit, more]).toMatchObject([{ n: 1, wait: 0 }, []]);
    expect(await book('single', 5, 5, one)).toEqual([]);
    const lost = await database.db.executeSql<{ ms: number }>(
      `select (extract(epoch from free_at - slot_at) * 1000)::float8 as ms from waybill.queue_permits where queue = 'single'`,
    );
    expect(lost.rows[0]!.ms).toBe(1_040 + graceMs);
    for (const late of [12, 700]) {
      const next = await nextPermitIn(database.db, 'single', one);
      expect([next > 0, next <= 640]).toEqual([true, true]); // as if it came back in time, until it did not
      await returnPermits(database.db, 'single', one, [{ permit: permit!, late }]);
    }
    await returnPermits(database.db, 'single', one, [{ permit: permit!, late: null }]); // not used
    const [again] = await book('single', 1, 1, one);
    await returnPermits(database.db, 'single', one, [{ permit: permit!, late: null }]); // of a slot that is over
    expect(again!.n).toBe(1);
    expect(await book('single', 1, 1, one)).toEqual([]);
  });

  it('the rate is shown with its queue, and goes when it is not set any more', async () => {
    const rate = async () => (await listQueues(database.db)).find(({ name }) => name === 'email')?.rate;
    await registerQueues(database.db, ['email'], new Map([['email', { rate: rateOf(12.5) }]]));
    expect(await rate()).toBe(12.5);
    await registerQueues(database.db, ['email']);
    expect(await rate()).toBeNull();
  });
});
