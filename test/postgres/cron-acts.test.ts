// What people do to cron jobs. Real: Postgres, the scheduler and the web server. Doubled: the scheduler's time.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction, defineApp, defineCron } from '../../src/index.ts';
import { verifyOutbox } from '../../src/operate/verify.ts';
import { cronWorld, type CronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const clean = defineAction({
  name: 'rooms.clean',
  access: 'system',
  args: z.object({}),
  handler: async () => null,
});
const app = defineApp({
  actions: [clean],
  cron: defineCron({
    jobs: [
      {
        name: 'hourly',
        schedule: '0 * * * *',
        timeZone: 'UTC',
        action: clean,
        args: {},
        missedTickPolicy: 'all',
        maxCatchUpTicks: 100,
        maxCatchUpAge: '7d',
      },
    ],
  }),
});

let database: TestDatabase;
let web: TestWeb;
let world: CronWorld;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url);
});
afterAll(async () => {
  const { findings } = await verifyOutbox(database.db);
  await web.end();
  await database.end();
  expect(findings).toEqual([]);
});

const hour = 3_600_000;
/** The hour that has begun: ticks are at the full hours around it. */
const base = Math.floor(Date.now() / hour) * hour;
const tick = (n: number): string => new Date(base + n * hour).toISOString();

beforeEach(async () => {
  for (const table of ['cron_jobs', 'cron_runs', 'cron_disabled', 'cron_manifests', 'cron_loaded'])
    await database.db.executeSql(`delete from waybill.${table}`);
  world = cronWorld(database.db);
  await world.deploy(app, new Date(base - 5 * hour));
});

async function ask(method: 'GET' | 'POST', path: string, payload?: object) {
  const headers = { authorization: `Bearer ${adminKey}` };
  const response = await web.server.inject({
    method,
    url: `/admin/cron${path}`,
    headers,
    ...(payload && { payload }),
  });
  return { status: response.statusCode, body: response.json<Record<string, unknown>>() };
}

const ticks = async (): Promise<string[]> =>
  (await world.ticks('hourly')).map((line) => line.split(' ').slice(1).join(' '));

describe('disabling a job', () => {
  it('G: dispatches no tick until it is enabled: each is skipped as disabled, and says by whom', async () => {
    await world.schedule(tick(-4));
    const { status, body } = await ask('POST', '/hourly/disable', { reason: 'broken', by: 'ann' });
    expect([status, body['disabled']]).toMatchObject([200, { by: 'ann', reason: 'broken', until: null }]);
    await world.schedule(tick(-2));
    expect((await ask('GET', '')).body['jobs']).toMatchObject([{ disabled: { by: 'ann' } }]);
    expect((await ask('POST', '/hourly/enable')).body['disabled']).toBeNull();
    await world.schedule(tick(-1));
    expect(await ticks()).toEqual(['dispatched', 'disabled', 'disabled', 'dispatched']);
  });

  it('G: ends by itself, and ticks of its time stay skipped for a scheduler that comes late', async () => {
    await ask('POST', '/hourly/disable', { for: '2h' });
    await database.db.executeSql(
      `update waybill.cron_disabled set since = $1::timestamptz, until = $2::timestamptz`,
      [tick(-3.5), tick(-1.5)],
    );
    expect((await ask('GET', '')).body['jobs']).toMatchObject([{ disabled: null }]);
    await world.schedule(tick(-1));
    expect(await ticks()).toEqual(['dispatched', 'disabled', 'disabled', 'dispatched']);
  });

  it('holds across a deployment without the job and back, and lets people run it', async () => {
    await ask('POST', '/hourly/disable');
    await world.deploy(defineApp({}), new Date(base - 4.5 * hour));
    await world.deploy(app, new Date(base - 4.2 * hour));
    await world.schedule(tick(-4));
    expect((await ask('POST', '/hourly/run')).status).toBe(200);
    expect((await ticks()).toSorted()).toEqual(['disabled', 'dispatched']);
  });

  it('is refused for an unknown job, and with an end that has passed', async () => {
    expect((await ask('POST', '/hourli/disable')).body).toMatchObject({
      status: 404,
      code: 'unknown_cron_job',
    });
    expect((await ask('POST', '/hourly/disable', { until: '2020-01-01T00:00Z' })).body['code']).toBe(
      'invalid_pause',
    );
    expect((await ask('POST', '/hourly/disable', { untill: 'x' })).body['code']).toBe('invalid_arguments');
  });
});

describe('a backfill', () => {
  const range = { from: tick(-4), to: tick(3) };

  it('G: runs each tick that was skipped once, after a preview; what the scheduler has yet to reach is left to it', async () => {
    await world.schedule(tick(-4));
    await ask('POST', '/hourly/disable');
    await world.schedule(tick(-2));
    await ask('POST', '/hourly/enable');
    const missed = [tick(-3), tick(-2)];
    const facts = { ticks: 3, alreadyRun: 1, runs: missed };
    expect((await ask('POST', '/hourly/backfill', { ...range, dryRun: true })).body).toMatchObject(facts);
    const both = await Promise.all([
      ask('POST', '/hourly/backfill', range),
      ask('POST', '/hourly/backfill', range),
    ]);
    expect(both.map(({ body }) => (body['runs'] as string[]).length).toSorted((a, b) => a - b)).toEqual([
      0, 2,
    ]);
    await world.work(app);
    const { rows } = await database.db.executeSql<{ at: Date }>(
      `select scheduled_at as at from waybill.cron_runs where source = 'admin' and status = 'succeeded' order by 1`,
    );
    expect(rows.map(({ at }) => at.toISOString())).toEqual(missed);
  });

  it('is refused when the range is too long, reversed or not given', async () => {
    await database.db.executeSql(`update waybill.cron_jobs set cursor_at = now()`);
    const post = async (body: object) => (await ask('POST', '/hourly/backfill', body)).body['code'];
    expect(await post({ from: tick(-2_000), to: tick(0) })).toBe('too_many_ticks');
    expect(await post({ from: tick(0), to: tick(-1) })).toBe('empty_range');
    expect(await post({ to: tick(-1) })).toBe('empty_range');
    expect(await post({ from: 'monday', to: tick(-1) })).toBe('invalid_time');
  });
});
