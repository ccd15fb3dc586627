import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { previewCron } from '../../src/cron/preview.ts';
import { listRuns } from '../../src/cron/history.ts';
import { runByHand } from '../../src/cron/manual.ts';
import { readCron } from '../../src/cron/overview.ts';
import type { RunStatus } from '../../src/cron/runs.ts';
import { countTicks } from '../../src/cron/ticks.ts';
import { createZones } from '../../src/cron/zones.ts';
import { defineAction } from '../../src/define/action.ts';
import { defineApp, type App } from '../../src/define/app.ts';
import type { CronJobOptions } from '../../src/define/cron-job.ts';
import { RetryAfter } from '../../src/delivery/failure.ts';
import { defineCron } from '../../src/define/cron.ts';
import { readSchedule } from '../../src/define/cron/schedule.ts';
import { cancelMessage, retryMessage } from '../../src/operate/operate.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { at, cronWorld, type CronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const noop = defineAction({ name: 'noop', access: 'system', args: z.object({}), handler: async () => null });
const appOf = (...jobs: (Partial<CronJobOptions<string>> & { readonly name: string })[]): App =>
  defineApp({
    actions: [noop],
    cron: defineCron({ jobs: jobs.map((job) => ({ schedule: '0 * * * *', action: 'noop', ...job })) }),
  });

let database: TestDatabase;
let world: CronWorld;
beforeAll(async () => {
  database = await testDatabase();
});
beforeEach(async () => {
  world = cronWorld(database.db);
  await database.db.executeSql(
    'truncate waybill.cron_manifests, waybill.cron_loaded, waybill.cron_jobs, waybill.cron_runs, waybill.outbox_messages, waybill.outbox_audit cascade',
  );
});
afterAll(() => database.end());

const messages = (): Promise<{ n: number }[]> =>
  world.rows<{ n: number }>('select count(*)::int as n from waybill.outbox_messages');

describe('a tick', () => {
  it('A: is a run and a message of kind action, recorded together', async () => {
    await world.deploy(appOf({ name: 'hourly' }), at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T10:59:59Z');
    expect(await world.ticks('hourly')).toEqual([]);
    await world.schedule('2026-05-01T11:00:00Z');
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T11:00 dispatched']);
    const [message] = await world.rows(
      `select m.kind, m.name, m.queue, m.payload, m.status, m.request_id = r.id::text as told
         from waybill.outbox_messages m join waybill.cron_runs r on r.message_id = m.id`,
    );
    expect(message).toEqual({
      kind: 'action',
      name: 'noop',
      queue: 'jobs',
      payload: {},
      status: 'pending',
      told: true,
    });
    expect((await verifyOutbox(database.db)).findings).toEqual([]);
  });

  it('G: is dispatched once, however often and by however many it is tried', async () => {
    const jobs = Array.from({ length: 300 }, (_, i) => ({ name: `job-${i}`, schedule: '*/5 * * * *' }));
    await world.deploy(appOf(...jobs), at('2026-05-01T10:01Z'));
    const now = at('2026-05-01T10:05Z');
    const schedulers = Array.from({ length: 10 }, () => world.scheduler());
    await Promise.all(
      schedulers.map(async (step) => {
        for (let pass = 0; pass < 20; pass++) await step(now);
      }),
    );
    const [found] = await world.rows(
      `select count(*)::int as runs, count(distinct (name, scheduled_at))::int as ticks from waybill.cron_runs`,
    );
    expect(found).toEqual({ runs: 300, ticks: 300 });
    expect(await messages()).toEqual([{ n: 300 }]);
  });

  it('G: a cursor that was put back by hand dispatches nothing again', async () => {
    await world.deploy(appOf({ name: 'hourly', missedTickPolicy: 'all' }), at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T12:00Z');
    await database.db.executeSql(
      `update waybill.cron_jobs set cursor_at = '2026-05-01T10:30Z', next_at = '2026-05-01T11:00Z'`,
    );
    await world.schedule('2026-05-01T13:00Z');
    expect(await world.ticks('hourly')).toEqual([
      '2026-05-01T11:00 dispatched',
      '2026-05-01T12:00 dispatched',
      '2026-05-01T13:00 dispatched',
    ]);
    expect(await messages()).toEqual([{ n: 3 }]);
  });

  it('the scheduler sleeps until the next tick, and not longer than its floor', async () => {
    const step = world.scheduler();
    expect(await step(at('2026-05-01T10:30Z'))).toBe(5_000);
    await world.deploy(appOf({ name: 'hourly' }), at('2026-05-01T10:30Z'));
    expect(await step(at('2026-05-01T10:59:58.500Z'))).toBe(1_500);
    expect(await step(at('2026-05-01T10:30Z'))).toBe(5_000);
  });

  it.each([
    [
      'Europe/Berlin',
      '30 2 * * *',
      '2026-03-28T12:00Z',
      '2026-03-30T12:00Z',
      ['2026-03-29T01:30', '2026-03-30T00:30'],
    ],
    [
      'Europe/Berlin',
      '30 2 * * *',
      '2026-10-24T12:00Z',
      '2026-10-26T12:00Z',
      ['2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      'Australia/Lord_Howe',
      '15 2 * * *',
      '2026-10-03T00:00Z',
      '2026-10-05T00:00Z',
      ['2026-10-03T15:45', '2026-10-04T15:15'],
    ],
    [
      'Australia/Lord_Howe',
      '45 1 * * *',
      '2026-04-04T00:00Z',
      '2026-04-06T00:00Z',
      ['2026-04-04T14:45', '2026-04-05T15:15'],
    ],
  ])(
    'G: %s, %s, minute by minute over a change of clocks',
    async (timeZone, schedule, from, to, expected) => {
      await world.deploy(appOf({ name: 'daily', schedule, timeZone }), at(from));
      for (let now = at(from).getTime(); now <= at(to).getTime(); now += 10 * 60_000)
        await world.schedule(new Date(now).toISOString());
      expect(await world.ticks('daily')).toEqual(expected.map((tick) => `${tick} dispatched`));
    },
  );
});

describe('catch-up', () => {
  const after = async (
    policy: Partial<CronJobOptions<string>>,
    now = '2026-05-01T14:10Z',
  ): Promise<string[]> => {
    await world.deploy(appOf({ name: 'hourly', ...policy }), at('2026-05-01T10:30Z'));
    await world.schedule(now);
    return world.ticks('hourly');
  };

  it('latest: the newest runs, the others are counted with it', async () => {
    expect(await after({})).toEqual(['2026-05-01T14:00 dispatched +3']);
  });

  it('all: each runs, and their messages are recorded in order', async () => {
    expect(await after({ missedTickPolicy: 'all' })).toEqual(
      [11, 12, 13, 14].map((hour) => `2026-05-01T${hour}:00 dispatched`),
    );
    const ordered = await world.rows<{ tick: Date }>(
      'select r.scheduled_at as tick from waybill.cron_runs r join waybill.outbox_messages m on m.id = r.message_id order by m.id',
    );
    expect(ordered.map(({ tick }) => tick.getUTCHours())).toEqual([11, 12, 13, 14]);
    const [page] = (await listRuns(database.db)).runs;
    expect(page).toMatchObject({
      catchUpWindow: { from: at('2026-05-01T11:00Z'), to: at('2026-05-01T14:00Z') },
    });
  });

  it('all, bounded by number and by age, whichever is tighter', async () => {
    expect(await after({ missedTickPolicy: 'all', maxCatchUpTicks: 2 })).toEqual([
      '2026-05-01T13:00 dispatched +2',
      '2026-05-01T14:00 dispatched',
    ]);
  });

  it('all, when every tick is too old: a run says that they were skipped', async () => {
    expect(await after({ missedTickPolicy: 'all', maxCatchUpAge: '5m' })).toEqual([
      '2026-05-01T14:00 too_old +3',
    ]);
    expect(await messages()).toEqual([{ n: 0 }]);
  });

  it('an outage of a year of minutes is counted, not walked', async () => {
    await world.deploy(appOf({ name: 'minutely', schedule: '* * * * *' }), at('2025-05-01T00:00Z'));
    await world.schedule('2026-05-01T00:00Z');
    expect(await world.ticks('minutely')).toEqual([`2026-05-01T00:00 dispatched +${365 * 1_440 - 1}`]);
  });

  it('promise 8: run + skipped = due, exactly, over random outages, jumps of the clock and policies', async () => {
    const zones = createZones();
    const policy = fc.record({
      schedule: fc.constantFrom('*/7 * * * *', '30 2 * * *', '15 */3 * * 1-5', '* 9-17 * * *'),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Australia/Lord_Howe'),
      overlap: fc.constantFrom('allow' as const, 'skip' as const),
      missedTickPolicy: fc.constantFrom('latest' as const, 'all' as const),
    });
    const steps = fc.array(fc.integer({ min: -70, max: 3_000 }), { minLength: 1, maxLength: 6 });
    const start = at('2026-03-27T00:00Z');
    let n = 0;
    await fc.assert(
      fc.asyncProperty(policy, steps, async (options, minutes) => {
        const name = `job-${n++}`;
        const overlap = options.missedTickPolicy === 'all' ? 'allow' : options.overlap;
        await world.deploy(appOf({ name, ...options, overlap }), start);
        let now = start.getTime();
        let furthest = now;
        for (const step of minutes) {
          now += step * 60_000;
          furthest = Math.max(furthest, now);
          await world.schedule(new Date(now).toISOString());
        }
        const [found] = await world.rows<{ rows: number; skipped: number }>(
          'select count(*)::int as rows, coalesce(sum(skipped_ticks), 0)::int as skipped from waybill.cron_runs where name = $1',
          [name],
        );
        const read = readSchedule(options.schedule);
        if ('problem' in read) throw new Error(read.problem);
        const timetable = { schedule: read.schedule, zone: zones(options.timeZone) };
        const due = countTicks(timetable, { after: start.getTime(), upTo: furthest });
        expect(found!.rows + found!.skipped).toBe(due);
      }),
      { numRuns: 40 },
    );
  });

  it('preview tells what the scheduler will do, and changes nothing', async () => {
    await world.deploy(
      appOf({ name: 'hourly', missedTickPolicy: 'all', maxCatchUpTicks: 2 }),
      at('2026-05-01T10:30Z'),
    );
    const plan = await previewCron(database.db, world.zones, 'hourly', { to: at('2026-05-01T14:10Z') });
    expect(plan).toMatchObject({
      due: 4,
      skipped: 2,
      from: at('2026-05-01T10:30Z'),
      nextTick: at('2026-05-01T15:00Z'),
    });
    expect(plan.runs.map((run) => run.scheduledAt.getUTCHours())).toEqual([13, 14]);
    expect(plan.skippedTicks.map((tick) => tick.getUTCHours())).toEqual([11, 12]);
    expect(await world.ticks('hourly')).toEqual([]);
    await world.schedule('2026-05-01T14:10Z');
    expect(await world.ticks('hourly')).toEqual([
      '2026-05-01T13:00 dispatched +2',
      '2026-05-01T14:00 dispatched',
    ]);
    await expect(previewCron(database.db, world.zones, 'hourli')).rejects.toMatchObject({
      code: 'unknown_cron_job',
    });
    const wrong = { from: at('2026-05-02T00:00Z'), to: at('2026-05-01T00:00Z') };
    await expect(previewCron(database.db, world.zones, 'hourly', wrong)).rejects.toMatchObject({
      code: 'empty_range',
    });
  });
});

describe('H: clocks that jump', () => {
  it('forward by an hour: what lies between is caught up; back again: nothing runs twice', async () => {
    await world.deploy(
      appOf({ name: 'quarterly', schedule: '*/15 * * * *', missedTickPolicy: 'all' }),
      at('2026-05-01T10:05Z'),
    );
    await world.schedule('2026-05-01T11:05Z');
    const first = await world.ticks('quarterly');
    expect(first).toHaveLength(4);
    for (const now of ['10:05', '10:15', '10:45', '11:00']) await world.schedule(`2026-05-01T${now}Z`);
    expect(await world.ticks('quarterly')).toEqual(first);
    await world.schedule('2026-05-01T11:15Z');
    expect(await world.ticks('quarterly')).toEqual([...first, '2026-05-01T11:15 dispatched']);
  });

  it('a cursor that a wrong clock left years ahead is brought back', async () => {
    await world.deploy(appOf({ name: 'hourly' }), at('2150-01-01T00:30Z'));
    await world.sweep();
    const [job] = await world.rows<{ near: boolean }>(
      `select abs(extract(epoch from cursor_at - now())) < 60 as near from waybill.cron_jobs`,
    );
    expect(job).toEqual({ near: true });
  });
});

describe('overlap', () => {
  it('skip: a tick does not run while an earlier run is still going, by hand or by cron', async () => {
    const app = appOf({ name: 'slow', overlap: 'skip' }, { name: 'free' });
    await world.deploy(app, at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00Z');
    await world.schedule('2026-05-01T12:00Z');
    expect(await world.ticks('slow')).toEqual(['2026-05-01T11:00 dispatched', '2026-05-01T12:00 overlap']);
    expect(await world.ticks('free')).toEqual(['2026-05-01T11:00 dispatched', '2026-05-01T12:00 dispatched']);
    await world.work(app);
    await world.schedule('2026-05-01T13:00Z');
    expect((await world.ticks('slow')).at(-1)).toBe('2026-05-01T13:00 dispatched');
    const runs = (await listRuns(database.db, { name: ['slow'], status: ['skipped'] })).runs;
    expect(runs).toMatchObject([{ status: 'skipped', reason: 'overlap', messageId: null }]);
  });
});

describe('manifests', () => {
  const one = appOf({ name: 'kept' }, { name: 'changed' }, { name: 'removed' });
  const two = appOf({ name: 'kept' }, { name: 'changed', schedule: '30 * * * *' }, { name: 'new' });
  const statuses = async (): Promise<Record<string, string>> => {
    const { manifests } = await readCron(database.db, world.zones);
    return Object.fromEntries(manifests.map(({ version, status }) => [version, status]));
  };

  it('staged, ready, active, retired; unknown ones are not scheduled', async () => {
    const first = await world.deploy(one, at('2026-05-01T10:15Z'));
    expect(await statuses()).toEqual({ [first.hash]: 'active' });
    const second = world.manifestOf(two);
    expect(await world.loaded(second)).toEqual({ staged: false, elected: false });
    await world.stage(second);
    expect(await statuses()).toEqual({ [first.hash]: 'active', [second.hash]: 'staged' });
    expect(await world.loaded(first)).toEqual({ staged: true, elected: false }); // nobody has loaded the second: its process is gone
  });

  it('a deployment keeps the cursor of what stayed, starts what is new or changed with its next tick, and stops what is gone', async () => {
    await world.deploy(one, at('2026-05-01T10:15Z'));
    await world.schedule('2026-05-01T11:00Z');
    await world.deploy(two, at('2026-05-01T13:10Z'));
    await world.schedule('2026-05-01T13:30Z');
    expect(await world.ticks('kept')).toEqual([
      '2026-05-01T11:00 dispatched',
      '2026-05-01T13:00 dispatched +1',
    ]);
    expect(await world.ticks('changed')).toEqual([
      '2026-05-01T11:00 dispatched',
      '2026-05-01T13:30 dispatched',
    ]);
    expect(await world.ticks('new')).toEqual([]);
    expect(await world.ticks('removed')).toEqual(['2026-05-01T11:00 dispatched']);
    await world.schedule('2026-05-01T14:00Z');
    expect(await world.ticks('new')).toEqual(['2026-05-01T14:00 dispatched']);
  });

  it('a rollback re-activates the older manifest; what was removed starts afresh', async () => {
    const first = await world.deploy(one, at('2026-05-01T10:15Z'));
    const second = await world.deploy(two, at('2026-05-01T11:15Z'));
    expect(await statuses()).toEqual({ [first.hash]: 'retired', [second.hash]: 'active' });
    expect(await world.loaded(first)).toMatchObject({ elected: false }); // an old process that still runs takes nothing back
    await world.deploy(one, at('2026-05-01T15:15Z'));
    expect(await statuses()).toEqual({ [first.hash]: 'active', [second.hash]: 'retired' });
    expect(await world.loaded(second)).toMatchObject({ elected: false });
    await world.schedule('2026-05-01T16:00Z');
    expect(await world.ticks('removed')).toEqual(['2026-05-01T16:00 dispatched']);
    expect(await world.ticks('kept')).toEqual(['2026-05-01T16:00 dispatched +5']);
  });

  it('without a release too: when every process of the newer one is gone, the older one runs again', async () => {
    const first = await world.deploy(one, at('2026-05-01T10:15Z'));
    const second = await world.deploy(two, at('2026-05-01T11:15Z'));
    await world.rows(
      `update waybill.cron_loaded set seen_at = now() - interval '1 minute' where manifest = $1`,
      [second.hash],
    );
    expect(await world.loaded(first)).toEqual({ staged: true, elected: true });
    expect(await world.activate(first)).toBe(true);
    expect(await statuses()).toEqual({ [first.hash]: 'active', [second.hash]: 'retired' });
  });

  it('two processes activate at once: one does it', async () => {
    await world.deploy(one, at('2026-05-01T10:15Z'));
    const second = world.manifestOf(two);
    await world.stage(second);
    await Promise.all(['a', 'b'].map((process) => world.loaded(second, process)));
    const done = await Promise.all(Array.from({ length: 5 }, () => world.activate(second)));
    expect(done.filter(Boolean)).toHaveLength(1);
  });

  it('the hash is of the content: order of jobs and of keys does not count, everything else does', () => {
    const hash = (...jobs: Parameters<typeof appOf>): string => world.manifestOf(appOf(...jobs)).hash;
    expect(hash({ name: 'a' }, { name: 'b' })).toBe(hash({ name: 'b' }, { name: 'a' }));
    expect(hash({ name: 'a', schedule: ' 0 * * * * ' })).toBe(hash({ name: 'a' }));
    expect(hash({ name: 'a', overlap: 'skip' })).not.toBe(hash({ name: 'a' }));
  });
});

describe('stale ticks', () => {
  const mine = appOf({ name: 'hourly' });
  const other = appOf({ name: 'other' });
  const age = (seconds: number): Promise<unknown> =>
    world.rows(
      `with r as (update waybill.cron_runs set dispatched_at = dispatched_at - $1 * interval '1 second')
       update waybill.cron_loaded set seen_at = seen_at - $1 * interval '1 second'`,
      [seconds],
    );

  it('a worker of another manifest gives the tick back, its attempt does not count', async () => {
    await world.deploy(mine, at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00Z');
    await world.work(other);
    const [message] = await world.rows(
      'select status, attempts, last_error, available_at > now() as later from waybill.outbox_messages',
    );
    expect(message).toMatchObject({ status: 'pending', attempts: 0, later: true });
    expect(message).toMatchObject({ last_error: expect.stringContaining('stale_manifest') as string });
    await world.rows('update waybill.outbox_messages set available_at = now()');
    await world.work(mine);
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T11:00 succeeded']);
  });

  it('when no worker of its manifest comes, the run is skipped as stale, and its message is cancelled', async () => {
    await world.deploy(mine, at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00Z');
    await world.rows(`update waybill.cron_runs set dispatched_at = now()`);
    await age(120);
    await world.sweep();
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T11:00 dispatched']); // no worker at all: it waits
    await world.loaded(world.manifestOf(other));
    await world.sweep();
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T11:00 stale_manifest']);
    expect(await world.rows('select status, attempts from waybill.outbox_messages')).toEqual([
      { status: 'cancelled', attempts: 0 },
    ]);
    const [run] = (await listRuns(database.db)).runs;
    expect(run).toMatchObject({
      status: 'skipped',
      reason: 'stale_manifest',
      finishedAt: expect.any(Date) as Date,
    });
  });

  it('as long as such a worker was there a moment ago, it waits', async () => {
    const manifest = await world.deploy(mine, at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00Z');
    await world.rows(`update waybill.cron_runs set dispatched_at = now()`);
    await age(120);
    await world.loaded(world.manifestOf(other));
    await world.loaded(manifest);
    await world.sweep();
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T11:00 dispatched']);
  });
});

describe('runs', () => {
  const fail = { how: 'throw' };
  const seen: unknown[] = [];
  const action = (name: string, safeToRetry = false) =>
    defineAction({
      name,
      access: 'system',
      safeToRetry,
      args: z.object({ size: z.number().default(1) }),
      async handler(ctx, { size }) {
        seen.push(ctx.invoker);
        if (fail.how === 'throw') throw new Error('the provider is closed');
        if (fail.how === 'later') throw new RetryAfter('5m');
        if (fail.how === 'copy')
          throw Object.assign(new Error('later'), { name: 'RetryAfter', delay: 300_000 });
        await ctx.db.query(`insert into effects (text) values ($1)`, [name]);
        if (fail.how === 'sql') await ctx.db.query('select 1/0');
        return { text: fail.how === 'null' ? 'a\0b' : 'x'.repeat(size) };
      },
    });
  const jobs = (args = {}): CronJobOptions<string>[] => [
    { name: 'once', schedule: '0 * * * *', action: 'once', args },
    { name: 'again', schedule: '0 * * * *', action: 'again', args },
  ];
  const app = (args = {}): App =>
    defineApp({ actions: [action('once'), action('again', true)], cron: defineCron({ jobs: jobs(args) }) });
  beforeAll(async () => {
    await database.db.executeSql('create table effects (text text)');
  });
  beforeEach(async () => {
    seen.length = 0;
    fail.how = 'no';
    await database.db.executeSql('truncate effects');
  });
  const due = async (of: App, now = '2026-05-01T11:00Z'): Promise<void> => {
    await world.deploy(of, at('2026-05-01T10:30Z'));
    await world.schedule(now);
  };
  const effects = async (): Promise<number> => (await world.rows('select from effects')).length;
  const runs = async (): Promise<Record<string, [RunStatus, unknown, string | null]>> =>
    Object.fromEntries(
      (await listRuns(database.db)).runs.map((run) => [run.name, [run.status, run.result, run.error]]),
    );

  it('succeed with the result, in the transaction of the action', async () => {
    const given = app();
    await due(given);
    await world.work(given);
    expect(await runs()).toEqual({
      once: ['succeeded', { text: 'x' }, null],
      again: ['succeeded', { text: 'x' }, null],
    });
    expect(await effects()).toBe(2);
    expect(await world.rows('select distinct status from waybill.outbox_messages')).toEqual([
      { status: 'delivered' },
    ]);
  });

  it.each([
    ['larger than 4 KB', { size: 4_100 }, 'no'],
    ['that jsonb cannot hold', {}, 'null'],
  ])('a result %s is not kept, the run succeeds all the same', async (_, args, how) => {
    fail.how = how;
    const given = app(args);
    await due(given);
    await world.work(given);
    expect(await runs()).toMatchObject({ once: ['succeeded', null, null] });
  });

  it.each(['throw', 'sql'])('failed once is failed, unless the action is safeToRetry (%s)', async (how) => {
    fail.how = how;
    const given = app();
    await due(given);
    await world.work(given);
    const words = how === 'throw' ? /^the provider is closed \(at .*\)$/ : /^division by zero \(22012\)/;
    const error = expect.stringMatching(words) as string;
    expect(await runs()).toEqual({ once: ['failed', null, error], again: ['dispatched', null, null] });
    expect(await effects()).toBe(0);
    fail.how = 'no';
    await world.rows(`update waybill.outbox_messages set available_at = now() where status = 'failed'`);
    await world.work(given);
    expect((await runs())['again']).toEqual(['succeeded', { text: 'x' }, null]);
  });

  it.each(['later', 'copy'])('RetryAfter holds any action, and runs it again (%s)', async (how) => {
    fail.how = how;
    const given = app();
    await due(given);
    await world.work(given);
    expect(await runs()).toEqual({ once: ['dispatched', null, null], again: ['dispatched', null, null] });
    fail.how = 'no';
    await world.rows(`update waybill.outbox_messages set available_at = now() where status = 'failed'`);
    await world.work(given);
    expect((await runs())['once']).toEqual(['succeeded', { text: 'x' }, null]);
  });

  it('a message that ends dead ends its run, and one that is retried by hand begins it again', async () => {
    fail.how = 'throw';
    const given = app();
    await due(given);
    await world.work(given);
    expect((await runs())['once']![0]).toBe('failed');
    const [message] = await world.rows<{ id: string }>(
      `select id from waybill.outbox_messages where name = 'once'`,
    );
    await retryMessage(database.db, message!.id);
    expect((await runs())['once']).toEqual(['dispatched', null, null]);
    fail.how = 'no';
    await world.work(given);
    expect((await runs())['once']).toEqual(['succeeded', { text: 'x' }, null]);
  });

  it('a message that a person cancels skips its run', async () => {
    await due(app());
    const [message] = await world.rows<{ id: string }>(
      `select id from waybill.outbox_messages where name = 'once'`,
    );
    await cancelMessage(database.db, message!.id);
    expect(await world.ticks('once')).toEqual(['2026-05-01T11:00 cancelled']);
  });

  it('C: a worker that lost its claim leaves neither effect nor end', async () => {
    const given = app();
    await due(given);
    fail.how = 'steal';
    const steal = defineAction({
      name: 'once',
      access: 'system',
      args: z.object({}),
      async handler(ctx) {
        await ctx.db.query(`insert into effects (text) values ('late')`);
        await database.db.executeSql(
          `update waybill.outbox_messages set claim_token = gen_random_uuid() where name = 'once'`,
        );
        return {};
      },
    });
    const thief: App = { ...given, actions: [steal, given.actions[1]!] };
    await world.work(thief);
    expect((await runs())['once']).toEqual(['dispatched', null, null]);
    expect(await world.rows(`select from effects where text = 'late'`)).toEqual([]);
  });

  it('the invoker says exactly what the tick is', async () => {
    const given = app();
    await due(given);
    await world.work(given);
    expect(seen[0]).toEqual({
      type: 'system',
      source: 'cron',
      scheduledAt: at('2026-05-01T11:00Z'),
      dispatchedAt: at('2026-05-01T11:00Z'),
    });
    seen.length = 0;
    await world.schedule('2026-05-01T14:00Z');
    await world.work(given);
    expect(seen[0]).toMatchObject({ scheduledAt: at('2026-05-01T14:00Z'), skippedTicks: 2 });
    expect(seen[0]).not.toHaveProperty('catchUpWindow');
  });

  it('the invoker of a catch-up has its window', async () => {
    const all = jobs().map((job) => ({ ...job, missedTickPolicy: 'all' as const, maxCatchUpTicks: 2 }));
    const given = defineApp({ actions: [action('once'), action('again')], cron: defineCron({ jobs: all }) });
    await due(given, '2026-05-01T14:00Z');
    await world.work(given);
    const catchUpWindow = { from: at('2026-05-01T13:00Z'), to: at('2026-05-01T14:00Z') };
    expect(seen).toContainEqual(
      expect.objectContaining({ scheduledAt: catchUpWindow.from, catchUpWindow, skippedTicks: 2 }),
    );
    expect(seen).toContainEqual(
      expect.objectContaining({ scheduledAt: catchUpWindow.to, catchUpWindow, skippedTicks: 0 }),
    );
  });

  it('by hand: as often as somebody asks, with the source admin', async () => {
    const given = app();
    await due(given);
    const tick = at('2026-05-01T11:00Z').getTime();
    for (const name of ['once', 'once'])
      expect(await runByHand(database.db, name, tick)).toMatchObject({
        source: 'admin',
        status: 'dispatched',
      });
    expect(await world.ticks('once')).toHaveLength(3);
    await world.work(given);
    expect(seen).toContainEqual({
      type: 'system',
      source: 'admin',
      scheduledAt: new Date(tick),
      dispatchedAt: expect.any(Date) as Date,
    });
    await expect(runByHand(database.db, 'onec', null)).rejects.toMatchObject({
      code: 'unknown_cron_job',
      message: expect.stringContaining('was once meant') as string,
    });
  });

  it('its messages have the group, the order key and the tags of the job, by cron and by hand', async () => {
    const given = appOf({ name: 'keyed', group: 'g', orderKey: 'o', tags: ['a', 'b'] });
    await world.deploy(given, at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00:00Z');
    await runByHand(database.db, 'keyed', null);
    const flow = { group_key: 'g', order_key: 'o', tags: ['a', 'b'] };
    expect(await world.rows('select group_key, order_key, tags from waybill.outbox_messages')).toEqual([
      flow,
      flow,
    ]);
    expect(world.manifestOf(given).hash).not.toBe(world.manifestOf(appOf({ name: 'keyed' })).hash);
  });

  it('an action that SQL recorded runs too, for the source outbox', async () => {
    const given = app();
    await world.rows(
      `insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts) values (gen_random_uuid(), 'action', 'once', 'jobs', '{"size":2}', 5)`,
    );
    await world.work(given);
    expect(seen).toEqual([{ type: 'system', source: 'outbox' }]);
    expect(await effects()).toBe(1);
  });

  it('ends are counted once, by job and result', async () => {
    const given = app();
    await due(given, '2026-05-01T13:00Z');
    await world.work(given);
    await world.sweep();
    await world.sweep();
    const text = await world.metrics.registry.getSingleMetricAsString('waybill_cron_ticks_total');
    for (const job of ['once', 'again']) {
      expect(text).toContain(`waybill_cron_ticks_total{job="${job}",result="dispatched"} 1`);
      expect(text).toContain(`waybill_cron_ticks_total{job="${job}",result="succeeded"} 1`);
      expect(text).toContain(`waybill_cron_ticks_total{job="${job}",result="skipped"} 2`);
    }
    expect(await world.metrics.registry.getSingleMetricAsString('waybill_cron_lag_seconds')).toContain(
      'waybill_cron_lag_seconds_count{job="once"} 1',
    );
  });

  it('are pruned by a retention of their own; those that still go stay', async () => {
    const given = app();
    await due(given);
    await world.rows(
      `update waybill.cron_runs set id = '00000000-0000-7000-8000-000000000001' where name = 'once'`,
    );
    await world.rows(
      `update waybill.cron_runs set id = '00000000-0000-7000-8000-000000000002' where name = 'again'`,
    );
    await world.rows(
      `update waybill.cron_runs set status = 'succeeded', finished_at = now() - interval '31 days' where name = 'once'`,
    );
    await world.sweep();
    expect([await world.ticks('once'), await world.ticks('again')]).toEqual([
      [],
      ['2026-05-01T11:00 dispatched'],
    ]);
  });
});

describe('rows edited by hand', () => {
  const insert = (name: string, tick: string): Promise<unknown> =>
    world.rows(
      `insert into waybill.cron_runs (id, name, action, source, scheduled_at, dispatched_at, manifest)
       values (gen_random_uuid(), $1, 'noop', 'cron', $2, now() - interval '2 minutes', 'm')`,
      [name, tick],
    );

  it('runs that no message carries end, with the reason', async () => {
    await world.deploy(appOf({ name: 'hourly' }), at('2026-05-01T10:30Z'));
    await insert('nobody', '2026-05-01T10:00Z');
    await insert('hourly', '2190-01-01T00:00Z');
    await insert('hourly', '2026-05-01T10:00Z');
    await world.sweep();
    expect(await world.ticks('nobody')).toEqual(['2026-05-01T10:00 unknown_job']);
    expect(await world.ticks('hourly')).toEqual(['2026-05-01T10:00 failed', '2190-01-01T00:00 future_tick']);
  });

  it('a job that cannot be understood is put off, the others go on', async () => {
    await world.deploy(
      appOf({ name: 'good' }, { name: 'schedule' }, { name: 'zone' }, { name: 'action' }),
      at('2026-05-01T10:30Z'),
    );
    const edit = (name: string, part: object): Promise<unknown> =>
      world.rows(`update waybill.cron_jobs set definition = definition || $2 where name = $1`, [
        name,
        JSON.stringify(part),
      ]);
    await edit('schedule', { schedule: 'often' });
    await edit('zone', { timeZone: 'Mars/Base' });
    await edit('action', { action: null });
    await world.schedule('2026-05-01T11:00Z');
    expect(await world.ticks('good')).toEqual(['2026-05-01T11:00 dispatched']);
    const view = await readCron(database.db, world.zones);
    expect(view.jobs.map(({ name, nextTicks }) => [name, nextTicks.length])).toEqual([
      ['action', 5],
      ['good', 5],
      ['schedule', 0],
      ['zone', 0],
    ]);
    await edit('schedule', { schedule: '0 * * * *' });
    await world.schedule('2026-05-01T11:06Z');
    expect(await world.ticks('schedule')).toEqual(['2026-05-01T11:00 dispatched']); // mended, and nothing is lost
  });

  it('what contradicts itself is refused by the table', async () => {
    await world.deploy(appOf({ name: 'hourly' }), at('2026-05-01T10:30Z'));
    await world.schedule('2026-05-01T11:00Z');
    for (const change of [
      `status = 'skipped'`,
      `status = 'succeeded'`,
      `status = 'gone'`,
      `scheduled_at = 'infinity'`,
      `skipped_ticks = -1`,
    ])
      await expect(world.rows(`update waybill.cron_runs set ${change}`), change).rejects.toMatchObject({
        code: '23514',
      });
    await expect(world.rows(`update waybill.cron_jobs set next_at = 'infinity'`)).rejects.toMatchObject({
      code: '23514',
    });
  });
});
