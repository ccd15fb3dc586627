import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { defineAction } from '../../src/define/action.ts';
import { defineApp, type AppOptions } from '../../src/define/app.ts';
import type { CronJobOptions } from '../../src/define/cron-job.ts';
import { defineCron } from '../../src/define/cron.ts';
import { readExpression } from '../../src/define/cron/expression.ts';
import { zoneProblem } from '../../src/define/cron/zone.ts';
import { WaybillError } from '../../src/errors.ts';

const clean = defineAction({
  name: 'rooms.clean',
  access: 'system',
  args: z.object({ floor: z.number().int() }),
  handler: async () => null,
});
const job = (over: object = {}): CronJobOptions<string> => ({
  name: 'nightly',
  schedule: '30 2 * * *',
  action: 'rooms.clean',
  args: { floor: 1 },
  ...over,
});

function refused(make: () => unknown): WaybillError {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(WaybillError);
    return error as WaybillError;
  }
  throw new Error('nothing was refused');
}
const refusedJob = (over: object): string => {
  const error = refused(() => defineCron({ jobs: [job(over)] }));
  expect(error.code).toBe('cron_invalid');
  return error.issues.map(({ message }) => message).join('\n');
};

describe('schedules that are refused', () => {
  it.each<[unknown, RegExp]>([
    ['', /five fields needed, got 0/],
    [null, /five fields needed, got null/],
    [undefined, /five fields needed, got undefined/],
    [5, /five fields needed, got number/],
    ['*', /five fields needed, got 1/],
    ['* *', /got 2/],
    ['* * *', /got 3/],
    ['* * * *', /got 4/],
    ['* * * * * *', /got 6: seconds and years/],
    ['* * * * * * *', /got 7/],
    ['* * * * * # each minute', /a comment is no part/],
    ['TZ=Europe/Berlin 0 0 * * *', /time zone goes into the option timeZone/],
    ['CRON_TZ=UTC 0 0 * * *', /timeZone/],
    ['0 0 * * *\n0 1 * * *', /on one line/],
    ['60 * * * *', /minute: "60" is no whole number from 0 to 59/],
    ['* 24 * * *', /hour: "24" is no whole number from 0 to 23/],
    ['* * 0 * *', /day of month: "0" is no whole number from 1 to 31/],
    ['* * * 13 *', /month: "13" is no whole number from 1 to 12, or JAN to DEC/],
    ['* * * * 8', /day of week: "8" is no whole number from 0 to 7, or SUN to SAT/],
    ['*/0 * * * *', /step of "\*\/0" must be a whole number from 1 to 59/],
    ['*/-1 * * * *', /neither a value|minute: /],
    ['*/61 * * * *', /step of "\*\/61" must be/],
    ['5/15 * * * *', /write "5-59\/15"/],
    ['5-1 * * * *', /the range "5-1" runs backwards/],
    ['* * * * FRI-SUN', /runs backwards/],
    ['1,,2 * * * *', /nothing between two commas/],
    ['1.5 * * * *', /minute: "1\.5"/],
    ['０ * * * *', /minute: "０"/],
    ['0x10 * * * *', /minute: "0x10"/],
    ['NaN * * * *', /minute: "NaN"/],
    ['H * * * *', /minute: "H"/],
    ['? * * * *', /minute: "\?"/],
    ['* * L * *', /day of month: "L"/],
    ['* * * * 5#3', /day of week: "5#3"/],
    ['1-2-3 * * * *', /neither a value, a range nor a step/],
    ['0 0 30 2 *', /never fires: February has no 30th/],
    ['0 0 31 4 *', /never fires: April has no 31st/],
    ['0 0 31 2,4,6 *', /never fires: February and April and June have no 31st/],
    ['@daily', /write 0 0 \* \* \*/],
    ['@every 5m', /write \*\/5 \* \* \* \*/],
    ['@reboot', /no such form/],
  ])('%j', (schedule, message) => {
    const text = refusedJob({ schedule });
    expect(text).toMatch(/^job nightly/);
    expect(text).toContain('schedule: ');
    expect(text).toMatch(message);
  });

  it.each([
    [' 0 0 * * * ', '0 0 * * *'],
    ['\t0\t0 * * *\n', '0 0 * * *'],
    ['*/20 9-17/4 1,1 JAN,mar sun-tue', '0,20,40 9,13,17 1 1,3 0,1,2'],
    ['0 0 * * 5-7', '0 0 * * 0,5,6'],
    ['0 0 31 2 FRI', '0 0 31 2 5'],
  ])('%j is taken', (text, plain) => {
    expect(readExpression(text)).toMatchObject({ plain });
    expect(defineCron({ jobs: [job({ schedule: text })] }).jobs).toHaveLength(1);
  });

  it('a text of 100 KB is not looked at, nor told', () => {
    const text = refusedJob({ schedule: `${'1,'.repeat(50_000)}1 * * * *` });
    expect(text).toMatch(/it has 100009 characters, at most 100 are allowed/);
    expect(text.length).toBeLessThan(400);
  });

  it('the 29th of February is taken, with a notice', () => {
    const cron = defineCron({ jobs: [job({ schedule: '0 0 29 2 *' })] });
    expect(cron.notices).toEqual([expect.stringMatching(/nightly.*leap years/)]);
    expect(defineApp({ actions: [clean], cron }).cron.notices).toEqual(cron.notices);
    expect(defineCron({ jobs: [job({ schedule: '0 0 31 2 FRI' })] }).notices).toEqual([
      expect.stringMatching(/February has no 31st/),
    ]);
  });
});

describe('time zones', () => {
  it.each([
    ['Mars/Base', /unknown time zone "Mars\/Base"/],
    ['', /unknown time zone ""/],
    ['+02:00', /unknown time zone/],
    ['EST5EDT', /unknown time zone/],
    ['CET', /take a name such as Europe\/Berlin/],
    ['europe/berlin', /was Europe\/Berlin meant/],
    ['Europe/Berln', /was Europe\/Berlin meant/],
    ['Berlin', /was Europe\/Berlin meant/],
    ['GMT', /was UTC meant/],
    [null, /unknown time zone null/],
  ])('%j is refused', (timeZone, message) => {
    expect(refusedJob({ timeZone })).toMatch(message);
  });

  it.each([
    'UTC',
    'Europe/Berlin',
    'America/Argentina/Buenos_Aires',
    'Australia/Lord_Howe',
    'US/Pacific',
    'Etc/GMT+5',
  ])('%s is one', (zone) => {
    expect(zoneProblem(zone)).toBeUndefined();
  });
});

describe('other options', () => {
  it.each<[object, RegExp]>([
    [{ missedTickPolicy: 'lastest' }, /must be latest or all, not "lastest"; was latest meant/],
    [{ missedTickPolicy: 'all', maxCatchUpTicks: 0 }, /whole number from 1 to 10000/],
    [{ missedTickPolicy: 'all', maxCatchUpTicks: -1 }, /whole number/],
    [{ missedTickPolicy: 'all', maxCatchUpTicks: 1e9 }, /whole number/],
    [{ missedTickPolicy: 'all', maxCatchUpTicks: 1.5 }, /whole number/],
    [{ missedTickPolicy: 'all', maxCatchUpAge: '48' }, /duration with its unit .* such as '48h'/],
    [{ missedTickPolicy: 'all', maxCatchUpAge: -5 }, /duration/],
    [{ maxCatchUpTicks: 5 }, /must be 'all' for/],
    [{ missedTickPolicy: 'latest', maxCatchUpAge: '1h' }, /must be 'all' for/],
    [{ overlap: 'never' }, /allow or skip/],
    [{ overlap: 'skip', missedTickPolicy: 'all' }, /take one of the two/],
    [{ timezone: 'UTC' }, /no option timezone, was timeZone meant/],
    [{ name: '' }, /1 to 200 letters/],
    [{ name: 'a b' }, /1 to 200 letters/],
    ...['../x', 'a/../b', '..', '.', '/x', 'x/', 'a//b'].map((name): [object, RegExp] => [
      { name },
      /neither nothing nor/,
    ]),
    [{ action: undefined }, /made by defineAction, or the name/],
    [{ args: { text: 'a\0b' } }, /U\+0000/],
    [{ args: () => 1 }, /cannot be written as JSON/],
    [{ group: '' }, /group: has 1 to 200 characters/],
    [{ group: 'g'.repeat(201) }, /group: has 1 to 200 characters/],
    [{ group: 'a\0b' }, /group: has 1 to 200 characters/],
    [{ orderKey: '' }, /orderKey: has 1 to 200 characters/],
    [{ orderKey: 7 }, /orderKey: has 1 to 200 characters/],
    [{ tags: ['a', ''] }, /tags: are at most 20 different tags/],
    [{ tags: 'a' }, /tags: are at most 20 different tags/],
  ])('%j', (over, message) => {
    expect(refusedJob(over)).toMatch(message);
  });

  it('says everything at once, with the file, the job and the expression', () => {
    const error = refused(() =>
      defineCron({ jobs: [job({ schedule: '61 * * * *' }), job(), job({ name: 'b', overlap: 'x' })] }),
    );
    expect(error.message).toContain('cron in test/pure/cron-define.test.ts');
    expect(error.issues.map(({ path }) => path)).toEqual([
      'jobs[0].schedule',
      'jobs[2].overlap',
      'jobs[1].name',
    ]);
    expect(error.message).toContain('job nightly, "61 * * * *": schedule: minute');
    expect(error.message).toContain('job nightly is there twice');
  });

  it('defaults are filled in, and arguments are plain data', () => {
    expect(defineCron({ jobs: [job({ args: undefined })] }).jobs[0]).toEqual({
      name: 'nightly',
      schedule: '30 2 * * *',
      timeZone: 'UTC',
      action: 'rooms.clean',
      args: {},
      missedTickPolicy: 'latest',
      maxCatchUpTicks: 1_000,
      maxCatchUpAgeMs: 7 * 86_400_000,
      overlap: 'allow',
    });
  });

  it('arguments are typed by the action', () => {
    type Args = CronJobOptions<typeof clean>['args'];
    expectTypeOf<Args>().toEqualTypeOf<{ floor: number } | undefined>();
    // @ts-expect-error floor is a number
    defineCron({ jobs: [{ name: 'a', schedule: '* * * * *', action: clean, args: { floor: 'top' } }] });
  });
});

describe('defineApp checks what needs the other definitions', () => {
  const problems = (options: AppOptions): string => {
    const error = refused(() => defineApp(options));
    expect(error.code).toBe('app_invalid');
    return error.message;
  };

  it.each<[string, AppOptions, RegExp]>([
    [
      'an unknown action',
      { actions: [clean], cron: defineCron({ jobs: [job({ action: 'rooms.clena' })] }) },
      /unknown action rooms\.clena.*was rooms\.clean meant/,
    ],
    [
      'an action that is not registered',
      { cron: defineCron({ jobs: [{ ...job(), action: clean, args: { floor: 1 } }] }) },
      /unknown action rooms\.clean/,
    ],
    [
      'arguments that do not match',
      { actions: [clean], cron: defineCron({ jobs: [job({ args: { floor: 'top' } })] }) },
      /args do not match the action rooms\.clean: floor: /,
    ],
    [
      'arguments that are misspelt',
      { actions: [clean], cron: defineCron({ jobs: [job({ args: { floor: 1, flor: 2 } })] }) },
      /flor: unknown field; did you mean floor/,
    ],
    [
      'a name that is there twice',
      { actions: [clean], cron: [defineCron({ jobs: [job()] }), defineCron({ jobs: [job()] })] },
      /the name is there twice/,
    ],
    ['something else', { actions: [clean], cron: { jobs: [] } as never }, /not made by defineCron/],
  ])('%s', (_, options, message) => {
    expect(problems(options)).toMatch(message);
  });

  it('names the file, the job and the expression', () => {
    const cron = defineCron({ jobs: [job({ action: 'nothing' })] });
    expect(problems({ cron })).toContain('cron job nightly in test/pure/cron-define.test.ts, "30 2 * * *"');
  });

  it.each(['public', 'authenticated', 'system'] as const)('%s actions may be a target', (access) => {
    const open = defineAction({ name: 'open', access, args: z.object({}), handler: async () => null });
    const cron = defineCron({ jobs: [{ name: 'a', schedule: '* * * * *', action: open }] });
    expect(defineApp({ actions: [open], cron }).cron.jobs).toHaveLength(1);
  });
});
