// The limits of queues: what is read, refused and shown. All of it is pure.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defineApp, defineJob, defineQueue } from '../../src/index.ts';
import { createRegistry } from '../../src/define/registry.ts';
import { readLimits } from '../../src/operate/limits.ts';
import {
  checkCount,
  checkRate,
  limitsText,
  looserThan,
  parseRate,
  rateOf,
  rateText,
  type Limits,
} from '../../src/queues/limits.ts';
import { planRate } from '../../src/queues/rate.ts';
import { z } from 'zod';

describe('a rate', () => {
  it.each([
    ['50/s', { limit: 50, ms: 1_000, burst: 1 }],
    ['100/m', { limit: 100, ms: 60_000, burst: 1 }],
    ['7/1h', { limit: 7, ms: 3_600_000, burst: 1 }],
  ])('%s', (text, rate) => {
    expect(parseRate('rate', text)).toEqual(rate);
    expect(parseRate('rate', rateText(rate))).toEqual(rate);
  });

  it.each([
    '0/s',
    '-1/s',
    '0.5/s',
    '10/',
    '10',
    '10/fortnight',
    '/s',
    '1e3/s',
    ' 5/s',
    '10/2s',
    '9999999/s',
    '',
  ])('is not %j', (text) => {
    expect(() => parseRate('rate', text)).toThrow(/must (look like 50\/s|be a whole number)/);
  });

  it.each<[unknown, string]>([
    [{ limit: 0, per: '1s' }, 'rate.limit is 0'],
    [{ limit: -3, per: '1s' }, 'rate.limit is -3'],
    [{ limit: 0.5, per: '1s' }, 'rate.limit is 0.5'],
    [{ limit: '10', per: '1s' }, 'rate.limit is "10"'],
    [{ limit: 10, per: 'fortnight' }, 'rate.per is "fortnight"'],
    [{ limit: 10 }, 'rate.per is undefined'],
    [{ limit: 10, per: '1s', burst: 11 }, 'must not exceed its limit'],
    [{ limit: 10, per: '1s', brust: 1 }, 'rate has "brust"'],
    [5, 'rate is 5'],
    [null, 'rate is null'],
  ])('is not %j', (given, problem) => {
    expect(() => checkRate('rate', given)).toThrow(problem);
  });

  it('in messages a second keeps its figure, whole or not', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 10_000, noNaN: true }), (perSecond) => {
        const { limit, ms } = rateOf(perSecond);
        expect(Number.isInteger(limit)).toBe(true);
        expect((limit * 1_000) / ms).toBeCloseTo(perSecond, 6);
      }),
    );
  });

  it('allows in its permits what it says, however long its span', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.constantFrom(1_000, 60_000, 3_600_000),
        (limit, ms) => {
          const { permits, windowMs } = planRate({ limit, ms, burst: 1 });
          expect(permits).toBeLessThanOrEqual(1_000);
          expect(permits / windowMs).toBeCloseTo(limit / ms, 9);
          expect(windowMs).toBeLessThanOrEqual(ms);
        },
      ),
    );
  });
});

describe('a limit', () => {
  it('is a whole number from 1 to 1,000,000', () => {
    expect([checkCount('rate', 1), checkCount('rate', 1_000_000)]).toEqual([1, 1_000_000]);
    for (const wrong of [0, 1_000_001, 1.5, '5', null, undefined, Number.NaN, [5]])
      expect(() => checkCount('rate', wrong)).toThrow(/^rate is .*, and must be a whole number from 1 to/);
  });

  it('that is refused is shown as it was written, cut to 60 characters', () => {
    const shown = (value: unknown): string => {
      try {
        return String(checkCount('x', value));
      } catch (error) {
        return (error as Error).message.slice('x is '.length).split(', and must')[0]!;
      }
    };
    expect([Number.NaN, -1, undefined, 'many', { a: 1 }].map(shown)).toEqual([
      'NaN',
      '-1',
      'undefined',
      '"many"',
      '{"a":1}',
    ]);
    expect(shown('x'.repeat(90))).toBe(`"${'x'.repeat(59)}`);
  });

  it.each([
    [
      { limit: 5, per: '1s' },
      { limit: 5, ms: 1_000, burst: 1 },
    ],
    [
      { limit: 5, per: '1m', burst: 5 },
      { limit: 5, ms: 60_000, burst: 5 },
    ],
    [
      { limit: 5, per: '1h', burst: 2 },
      { limit: 5, ms: 3_600_000, burst: 2 },
    ],
  ])('as a rate is read from %j', (given, rate) => {
    expect(checkRate('rate', given)).toEqual(rate);
  });

  it.each([
    [{ limit: 5, per: '11s' }, 'rate.per is "11s"'],
    [{ limit: 5, per: '1ss' }, 'rate.per is "1ss"'],
    [{ limit: 5, per: ['1s'] }, 'rate.per is ["1s"]'],
    [{ limit: 5, per: '1s', burst: 0 }, 'rate.burst is 0'],
    ['5/s', 'rate is "5/s"'],
    [undefined, 'rate is undefined'],
  ])('as a rate is not read from %j', (given, problem) => {
    expect(() => checkRate('rate', given)).toThrow(problem);
  });

  it('of each message in words of its unit, else in seconds', () => {
    expect([0.5, 3.3, 50].map((perSecond) => rateText(rateOf(perSecond)))).toEqual([
      '1 in 2 s',
      '4 in 1.212 s',
      '50/s',
    ]);
    expect(rateText({ limit: 7, ms: 3_600_000, burst: 2 })).toBe('7/h, 2 at once');
  });

  it('is named in one line, without those that are not set or lifted', () => {
    expect(limitsText({})).toBe('');
    expect(limitsText({ concurrency: null, rate: rateOf(5), rampMs: 500 })).toBe('rate 5/s, ramp 0.5s');
  });
});

describe('limits of an operator', () => {
  const rate = (limit: number, ms: number) => ({ limit, ms, burst: 1 });
  it.each<[string, Limits, Limits, string[]]>([
    ['a higher number', { concurrency: 10 }, { concurrency: 11 }, ['concurrency']],
    ['the same number', { concurrency: 10 }, { concurrency: 10 }, []],
    ['a lower number', { groupConcurrency: 3 }, { groupConcurrency: 2 }, []],
    ['a limit that is lifted', { concurrency: 10, rate: rate(5, 1_000) }, { rate: null }, ['rate']],
    ['a limit where there was none', {}, { concurrencyPerProcess: 5, rate: rate(5, 1_000) }, []],
    ['the same rate by the minute', { rate: rate(1, 1_000) }, { rate: rate(60, 60_000) }, []],
    ['a higher rate by the minute', { rate: rate(1, 1_000) }, { rate: rate(61, 60_000) }, ['rate']],
    ['a ramp, which is no limit', { rampMs: 5 }, { rampMs: 0 }, []],
    ['a ramp that is lifted', { rampMs: 5 }, { rampMs: null }, []],
  ])('allow more than those of the application: %s', (_, application, operator, looser) => {
    expect(looserThan(application, operator)).toEqual(looser);
  });
});

const noop = (name: string, over: object = {}) =>
  defineJob({ name, payload: z.unknown(), handler: () => undefined, ...over });

describe('defineQueue', () => {
  it('gives the application its limits', () => {
    const queue = defineQueue({
      name: 'reports',
      concurrency: 5,
      concurrencyPerProcess: 2,
      rate: { limit: 100, per: '1m', burst: 10 },
      perGroup: { concurrency: 1, rate: { limit: 3, per: '1s' } },
      priority: 7,
      ramp: '10s',
    });
    const app = defineApp({ jobs: [noop('report', { queue: 'reports' })], queues: [queue] });
    const { limits, perProcess, priorities } = createRegistry(app);
    expect(limits.get('reports')).toEqual({
      concurrency: 5,
      concurrencyPerProcess: 2,
      rate: { limit: 100, ms: 60_000, burst: 10 },
      groupConcurrency: 1,
      groupRate: { limit: 3, ms: 1_000, burst: 1 },
      rampMs: 10_000,
    });
    expect([perProcess.get('reports'), priorities.get('reports')]).toEqual([2, 7]);
    expect(limitsText(limits.get('reports')!)).toBe(
      'concurrency 5, per process 2, rate 100/m, 10 at once, per group 1, rate per group 3/s, ramp 10s',
    );
  });

  it('has a limit for each process from the concurrency of a job', () => {
    const { limits, perProcess } = createRegistry(defineApp({ jobs: [noop('water', { concurrency: 2 })] }));
    expect(limits.get('water')).toEqual({ concurrencyPerProcess: 2 });
    expect(perProcess.get('water')).toBe(2);
  });

  it.each<[object, string]>([
    [{ concurrency: 0 }, 'concurrency is 0'],
    [{ concurrency: 1.5 }, 'concurrency is 1.5'],
    [{ concurrencyPerProcess: '2' }, 'concurrencyPerProcess is "2"'],
    [{ rate: { limit: 0, per: '1s' } }, 'rate.limit is 0'],
    [{ perGroup: { concurrency: -1 } }, 'perGroup.concurrency is -1'],
    [{ perGroup: { rate: '5/s' } }, 'perGroup.rate is "5/s"'],
    [{ perGroup: { concurency: 1 } }, 'concurency'],
    [{ priority: 2_000 }, 'priority must be'],
    [{ ramp: 'soon' }, 'ramp must be a duration'],
    [{ name: 'a b' }, 'name must have'],
    [{ conncurrency: 1 }, 'conncurrency'],
  ])('refuses %j', (over, problem) => {
    expect(() => defineQueue({ name: 'reports', ...over })).toThrow(problem);
  });

  it.each<[string, Parameters<typeof defineApp>[0], string]>([
    ['a queue that nothing uses', { queues: [defineQueue({ name: 'jbos' })] }, 'did you mean jobs?'],
    [
      'one defined twice',
      { queues: [defineQueue({ name: 'jobs' }), defineQueue({ name: 'jobs' })] },
      'queue jobs is there twice',
    ],
    ['something else', { queues: [{ name: 'jobs' } as never] }, 'queues[0] is not made by defineQueue'],
    [
      'a limit for each process that the job has too',
      {
        jobs: [noop('water', { concurrency: 2 })],
        queues: [defineQueue({ name: 'water', concurrencyPerProcess: 1 })],
      },
      'say it once',
    ],
  ])('is refused by the application: %s', (_, options, problem) => {
    expect(() => defineApp(options)).toThrow(problem);
  });
});

describe("an operator's limits", () => {
  it('are read from text; none lifts one', () => {
    expect(
      readLimits({
        rate: '50/s',
        burst: '5',
        concurrency: '10',
        perGroupConcurrency: 'none',
        perGroupRate: '2/m',
        ramp: '0s',
        perProcess: '3',
      }),
    ).toEqual({
      rate: { limit: 50, ms: 1_000, burst: 5 },
      concurrency: 10,
      concurrencyPerProcess: 3,
      groupConcurrency: null,
      groupRate: { limit: 2, ms: 60_000, burst: 1 },
      rampMs: 0,
    });
  });

  it.each<[object, string]>([
    [{}, 'no limit is given'],
    [{ rate: '10/fortnight' }, 'must look like 50/s'],
    [{ concurrency: '0' }, 'concurrency is 0'],
    [{ concurrency: '1.5' }, 'concurrency is "1.5"'],
    [{ concurrency: 'many' }, 'concurrency is "many"'],
    [{ burst: '5' }, 'burst is a part of a rate'],
    [{ rate: '5/s', burst: '6' }, 'must not exceed'],
    [{ ramp: 'slowly' }, 'ramp is "slowly"'],
  ])('refuse %j', (given, problem) => {
    expect(() => readLimits(given)).toThrow(problem);
  });
});
