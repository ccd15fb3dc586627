// When a cron job runs. Real: the schedule, the zones of this Node, the ticks and the plan of a catch-up. Nothing is doubled.

import { CronExpressionParser } from 'cron-parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planTicks, type Policy } from '../../src/cron/catchup.ts';
import {
  countTicks,
  newestTicks,
  nextTick,
  nextTicks,
  timetableOf,
  type Timetable,
} from '../../src/cron/ticks.ts';
import type { CronJob } from '../../src/define/cron-job.ts';
import { wordsOf } from '../../src/cron/words.ts';
import { createZones } from '../../src/cron/zones.ts';
import { readExpression } from '../../src/define/cron/expression.ts';
import { readSchedule, type Schedule } from '../../src/define/cron/schedule.ts';

const zones = createZones();
const scheduleOf = (expression: string): Schedule => {
  const read = readSchedule(expression);
  if ('problem' in read) throw new Error(`${expression}: ${read.problem}`);
  return read.schedule;
};
/** cron-parser refuses values that are there twice, such as Sunday as 0 and 7. */
const plainOf = (expression: string): string => (readExpression(expression) as { plain: string }).plain;
const timetable = (expression: string, zone = 'UTC'): Timetable => ({
  schedule: scheduleOf(expression),
  zone: zones(zone),
});
const at = (text: string): number => new Date(text).getTime();
const iso = (ticks: readonly number[]): string[] =>
  ticks.map((tick) => new Date(tick).toISOString().slice(0, 16));
/** All ticks of a span, by the simplest way there is. */
function walked(table: Timetable, after: number, upTo: number): number[] {
  const ticks: number[] = [];
  for (let tick = nextTick(table, after); tick <= upTo; tick = nextTick(table, tick)) ticks.push(tick);
  return ticks;
}

// Clocks that change by one hour, by half an hour, at midnight, on both halves of the globe, by a whole day, and never.
const zoneNames = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'Africa/Cairo',
  'Pacific/Apia',
  'Asia/Kathmandu',
];
const field = (low: number, high: number) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant('*') },
    { weight: 2, arbitrary: fc.integer({ min: low, max: high }).map(String) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: high }).map((step) => `*/${step}`) },
    {
      weight: 1,
      arbitrary: fc
        .uniqueArray(fc.integer({ min: low, max: high }), { minLength: 2, maxLength: 2 })
        .map((pair) => pair.toSorted((a, b) => a - b).join('-')),
    },
    {
      weight: 1,
      arbitrary: fc
        .uniqueArray(fc.integer({ min: low, max: high }), { minLength: 1, maxLength: 4 })
        .map((values) => values.join(',')),
    },
  );
const expression = fc
  .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
  .map((fields) => fields.join(' '))
  .filter((text) => 'schedule' in readSchedule(text));
const instant = fc.integer({ min: at('2009-01-01T00:00Z'), max: at('2034-01-01T00:00Z') });

describe('ticks', () => {
  it('agree with cron-parser where no clock is changed', () => {
    fc.assert(
      fc.property(expression, instant, (text, after) => {
        const parser = CronExpressionParser.parse(plainOf(text), { currentDate: new Date(after), tz: 'UTC' });
        const theirs = [1, 2, 3].map(() => parser.next().getTime());
        expect(nextTicks(timetable(text), after, 3)).toEqual(theirs);
      }),
      { numRuns: 500 },
    );
  });

  it('H: next, newest and count tell of the same ticks, in every zone', () => {
    fc.assert(
      fc.property(
        expression,
        fc.constantFrom(...zoneNames),
        instant,
        fc.integer({ min: 0, max: 12 * 86_400_000 }),
        fc.integer({ min: 1, max: 50 }),
        (text, zone, after, length, limit) => {
          const table = timetable(text, zone);
          const span = { after, upTo: after + length };
          const all = walked(table, after, after + length);
          expect(all).toEqual([...new Set(all)].toSorted((a, b) => a - b));
          expect(newestTicks(table, span, limit)).toEqual(all.slice(-limit));
          expect(countTicks(table, span)).toBe(all.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('the longest wait is eight years, between two 29ths of February', () => {
    expect(iso([nextTick(timetable('0 0 29 2 *'), at('2096-02-29T00:00Z'))])).toEqual(['2104-02-29T00:00']);
  });

  it('a schedule that has no tick for nine years is an error that names it, and no endless search', () => {
    const never = { ...scheduleOf('0 0 1 1 *'), months: new Set<number>() };
    expect(() => nextTick({ schedule: never, zone: zones('UTC') }, 0)).toThrow(
      '0 0 1 1 * has no tick within nine years',
    );
  });

  it('a job whose row was edited so that its schedule cannot be read is named', () => {
    const job = { name: 'nightly', schedule: '0 25 * * *', timeZone: 'UTC' } as CronJob;
    expect(() => timetableOf(job, zones)).toThrow(/^cron job nightly: hour: /);
    const berlin = timetableOf({ ...job, schedule: '0 1 * * *', timeZone: 'Europe/Berlin' }, zones);
    expect(iso([nextTick(berlin, at('2026-01-01T12:00Z'))])).toEqual(['2026-01-02T00:00']);
  });

  it('every minute of a schedule that says every minute is a tick, whatever the clocks do', () => {
    for (const zone of zoneNames) {
      const span = { after: at('2026-03-01T00:00Z'), upTo: at('2026-03-31T00:00Z') };
      const doubled = countTicks(timetable('* * * * *', zone), span);
      expect(doubled, zone).toBe(30 * 24 * 60);
    }
  });
});

describe('daylight saving: a tick that the clock leaves out runs once, one that it shows twice runs once', () => {
  it.each<[string, string, string, string[]]>([
    // Forward by an hour: 02:30 is not shown, and comes when it would have come: 03:30.
    ['30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', ['2026-03-29T01:30', '2026-03-30T00:30']],
    ['30 2 * * *', 'America/New_York', '2026-03-07T12:00Z', ['2026-03-08T07:30', '2026-03-09T06:30']],
    // Back by an hour: 02:30 is shown twice, and the first time counts.
    ['30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00Z', ['2026-10-25T00:30', '2026-10-26T01:30']],
    ['30 1 * * *', 'America/New_York', '2026-10-31T12:00Z', ['2026-11-01T05:30', '2026-11-02T06:30']],
    [
      '*/30 2 * * *',
      'Europe/Berlin',
      '2026-10-24T12:00Z',
      ['2026-10-25T00:00', '2026-10-25T00:30', '2026-10-26T01:00'],
    ],
    // What is put off onto another tick of the same job is one with it.
    ['30 2,3 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', ['2026-03-29T01:30', '2026-03-30T00:30']],
    [
      '15 * * * *',
      'Europe/Berlin',
      '2026-03-28T23:30Z',
      ['2026-03-29T00:15', '2026-03-29T01:15', '2026-03-29T02:15'],
    ],
    // Lord Howe changes by half an hour: cron-parser has no tick for 02:15 on that day.
    ['15 2 * * *', 'Australia/Lord_Howe', '2026-10-02T18:00Z', ['2026-10-03T15:45', '2026-10-04T15:15']],
    ['45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00Z', ['2026-04-04T14:45', '2026-04-05T15:15']],
    // At midnight, and a day that was left out as a whole.
    ['30 0 * * *', 'America/Santiago', '2026-09-05T12:00Z', ['2026-09-06T04:30', '2026-09-07T03:30']],
    [
      '0 12 * * *',
      'Pacific/Apia',
      '2011-12-29T12:00Z',
      ['2011-12-29T22:00', '2011-12-30T22:00', '2011-12-31T22:00'],
    ],
  ])('%s in %s after %s', (text, zone, after, expected) => {
    expect(iso(nextTicks(timetable(text, zone), at(after), expected.length))).toEqual(expected);
  });

  it('cron-parser itself leaves the tick of Lord Howe out, which is why we do not walk with it', () => {
    const options = { currentDate: new Date('2026-10-02T18:00Z'), tz: 'Australia/Lord_Howe' };
    const theirs = CronExpressionParser.parse('15 2 * * *', options).next().getTime();
    expect(iso([theirs])).not.toEqual(['2026-10-03T15:45']);
  });
});

const policy = (over: Partial<Policy> = {}): Policy => ({
  missedTickPolicy: 'all',
  maxCatchUpTicks: 1_000,
  maxCatchUpAgeMs: 7 * 86_400_000,
  ...over,
});

describe('catch-up', () => {
  it('G: run + skipped = due, exactly, for every policy and outage', () => {
    fc.assert(
      fc.property(
        expression,
        fc.constantFrom(...zoneNames),
        instant,
        fc.integer({ min: -3_600_000, max: 12 * 86_400_000 }),
        fc.constantFrom<Policy['missedTickPolicy']>('latest', 'all'),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1_000, max: 10 * 86_400_000 }),
        (text, zone, cursor, length, missedTickPolicy, maxCatchUpTicks, maxCatchUpAgeMs) => {
          const table = timetable(text, zone);
          const now = cursor + length;
          const plan = planTicks(table, { missedTickPolicy, maxCatchUpTicks, maxCatchUpAgeMs }, cursor, now);
          const due = walked(table, cursor, now);
          const rows = [...plan.runs, ...(plan.tooOld ? [plan.tooOld] : [])];
          const skipped = rows.reduce((sum, row) => sum + row.skippedTicks, 0);
          expect(plan.due).toBe(due.length);
          expect(rows.length + skipped).toBe(due.length);
          expect(rows.map((row) => row.scheduledAt)).toEqual(due.slice(due.length - rows.length));
          expect(plan.next).toBe(nextTick(table, Math.max(cursor, now)));
          if (missedTickPolicy === 'latest') expect(plan.runs.length).toBe(Math.min(1, due.length));
          expect(plan.runs.length).toBeLessThanOrEqual(maxCatchUpTicks);
        },
      ),
      { numRuns: 500 },
    );
  });

  const hourly = timetable('0 * * * *');
  const [ten, one] = [at('2026-05-01T10:30Z'), at('2026-05-01T13:30Z')];

  it('latest: the newest runs and says how many it stands for', () => {
    const plan = planTicks(hourly, policy({ missedTickPolicy: 'latest' }), ten, one);
    expect(plan.runs).toEqual([
      { scheduledAt: at('2026-05-01T13:00Z'), skippedTicks: 2, catchUpWindow: null },
    ]);
  });

  it('all: each runs, in order, with the window that they are part of', () => {
    const catchUpWindow = { from: at('2026-05-01T11:00Z'), to: at('2026-05-01T13:00Z') };
    expect(planTicks(hourly, policy(), ten, one).runs).toEqual(
      [11, 12, 13].map((hour) => ({
        scheduledAt: at(`2026-05-01T${hour}:00Z`),
        skippedTicks: 0,
        catchUpWindow,
      })),
    );
  });

  it.each<[string, Partial<Policy>, number[], number]>([
    ['by number', { maxCatchUpTicks: 2 }, [12, 13], 1],
    ['by age', { maxCatchUpAgeMs: 2 * 3_600_000 }, [12, 13], 1],
    ['by whichever is tighter', { maxCatchUpTicks: 1, maxCatchUpAgeMs: 2 * 3_600_000 }, [13], 2],
    ['by age down to none, which is told too', { maxCatchUpAgeMs: 60_000 }, [], 3],
  ])('all, bounded %s', (_, over, hours, dropped) => {
    const { runs, tooOld } = planTicks(hourly, policy(over), ten, one);
    expect(runs.map(({ scheduledAt }) => new Date(scheduledAt).getUTCHours())).toEqual(hours);
    expect((runs[0] ?? tooOld)!.skippedTicks + (tooOld ? 1 : 0)).toBe(dropped);
  });

  it('all: a tick that is exactly as old as allowed runs', () => {
    const age = one - at('2026-05-01T12:00Z');
    const hours = (maxCatchUpAgeMs: number): number[] =>
      planTicks(hourly, policy({ maxCatchUpAgeMs }), ten, one).runs.map(({ scheduledAt }) =>
        new Date(scheduledAt).getUTCHours(),
      );
    expect([hours(age), hours(age - 1)]).toEqual([[12, 13], [13]]);
  });

  it('one tick that is due is no catch-up', () => {
    const plan = planTicks(hourly, policy(), at('2026-05-01T12:59Z'), at('2026-05-01T13:00Z'));
    expect(plan.runs).toEqual([
      { scheduledAt: at('2026-05-01T13:00Z'), skippedTicks: 0, catchUpWindow: null },
    ]);
  });

  it('a clock that was put back by an hour finds nothing due; put forward, it finds what lies between', () => {
    expect(planTicks(hourly, policy(), one, one - 3_600_000)).toMatchObject({
      due: 0,
      runs: [],
      next: at('2026-05-01T14:00Z'),
    });
    expect(planTicks(hourly, policy(), one, one + 3_600_000).due).toBe(1);
  });

  it('counting a year of minutes walks days, not minutes', () => {
    const [year, later] = [at('2025-01-01T00:00Z'), at('2026-01-01T00:00Z')];
    const plan = planTicks(
      timetable('* * * * *', 'Europe/Berlin'),
      policy({ maxCatchUpTicks: 3 }),
      year,
      later,
    );
    expect([plan.due, plan.runs.length, plan.runs[0]!.skippedTicks]).toEqual([525_600 - 60, 3, 525_600 - 63]);
  });
});

describe('words', () => {
  it.each([
    ['* * * * *', 'every minute'],
    ['*/15 * * * *', 'every 15 minutes'],
    ['5 * * * *', 'at minute 5 of every hour'],
    ['0 * * * *', 'at minute 0 of every hour'],
    ['30 2 * * 1-5', 'at 02:30 on Monday to Friday'],
    ['0 9,17 * * *', 'at 09:00 and 17:00'],
    ['0 0 1,15 * *', 'at 00:00 on day 1 and 15 of the month'],
    ['0 0 13 * FRI', 'at 00:00 on day 13 of the month or on Friday'],
    ['0 6 * JAN,JUL *', 'at 06:00 in January and July'],
    ['*/10 9-17 * * *', 'every 10 minutes of the hours 9 to 17'],
    ['7,8 */2 * * *', 'at minute 7 and 8 of every 2 hours'],
  ])('%s: %s', (text, words) => {
    expect(wordsOf(scheduleOf(text), 'Europe/Berlin')).toBe(`${words}, Europe/Berlin`);
  });
});
