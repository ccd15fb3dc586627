// The pages of cron, and what their forms do. Real: Postgres, the scheduler and the web server. Doubled: the scheduler's time.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction, defineApp, defineCron } from '../../src/index.ts';
import { listActs } from '../../src/operate/audit.ts';
import { atConsole, type Person } from '../support/console.ts';
import { cronWorld, type CronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { testWeb, type TestWeb } from '../support/web.ts';

const clean = defineAction({
  name: 'rooms.clean',
  access: 'system',
  args: z.object({}),
  handler: async () => null,
});
const job = { action: clean, args: {}, timeZone: 'UTC' } as const;
const app = defineApp({
  actions: [clean],
  cron: defineCron({
    jobs: [
      {
        ...job,
        name: 'a/b:hourly',
        schedule: '0 * * * *',
        missedTickPolicy: 'all',
        maxCatchUpTicks: 3,
      },
      { ...job, name: 'minutely', schedule: '* * * * *', overlap: 'skip' },
    ],
  }),
});

const hour = 3_600_000;
/** The hour that has begun. */
const base = Math.floor(Date.now() / hour) * hour;
const tick = (n: number): string => new Date(base + n * hour).toISOString();
/** As the field of a browser writes it. */
const field = (n: number): string => tick(n).slice(0, 16);

let database: TestDatabase;
let web: TestWeb;
let world: CronWorld;
let ann: Person;
let rita: Person;
beforeAll(async () => {
  database = await testDatabase();
  web = testWeb(app, database.url, { WAYBILL_ADMIN_KEYS: 'rita:read:key-of-rita' });
  world = cronWorld(database.db);
  await world.deploy(app, new Date(base - 9 * hour));
  ann = await atConsole(web);
  rita = await atConsole(web, 'rita', 'key-of-rita');
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const hourly = '/console/cron/a%2Fb%3Ahourly';

describe('the pages of cron', () => {
  it('the list has each job in words, how late it is, its policy, and its last run with the result', async () => {
    const { body } = await rita.open('/console/cron');
    expect(body).toContain('at minute 0 of every hour, UTC');
    expect(body).toMatch(/2 jobs are overdue/);
    expect(body).toMatch(/class="warn">(8|9) h/);
    expect(body).toContain('all that were missed, at most 3, of the last 7 d');
    expect(body).toContain('none while a run is in progress');
    expect(body).not.toContain('class="act ');
  });

  it('the page of a job says what a catch-up would run and skip now, or in any span', async () => {
    const { status, body } = await rita.open(hourly);
    expect(status).toBe(200);
    expect(body).toMatch(/[89] ticks are due. A catch-up runs 3 of them and skips [56]/);
    expect(body.match(/<time[^>]+data-clock="date">/g)!.length).toBeGreaterThanOrEqual(5); // the next five
    expect(body).toContain('waybill cron preview a/b:hourly');
    const span = await rita.open(`${hourly}?from=${field(-4)}&to=${field(-2)}`);
    expect(span.body).toContain('2 ticks are due. A catch-up runs 2 of them and skips 0');
    expect((await rita.open(`${hourly}?from=${field(0)}&to=${field(-2)}`)).status).toBe(400);
    expect((await rita.open('/console/cron/a%2Fb%3Ahourli')).body).toContain('was a/b:hourly meant?');
  });

  it('a job is disabled with a reason and an end, enabled, and run now', async () => {
    const done = await ann.send(`${hourly}/disable`, { for: '2h', reason: 'broken' });
    expect([done.status, done.to]).toEqual([303, hourly]);
    expect((await ann.open(hourly)).body).toMatch(
      /disabled<\/span> by <bdi>ann<\/bdi>, “<bdi>broken<\/bdi>” · ends <time/,
    );
    expect((await ann.send(`${hourly}/disable`, { for: 'soon' })).status).toBe(400);
    await ann.send(`${hourly}/enable`);
    const run = await ann.send(`${hourly}/run`);
    expect(run.to).toMatch(/^\/console\/messages\/[0-9a-f-]{36}$/);
    expect((await ann.open('/console/cron')).body).toContain('a person');
    expect((await rita.send(`${hourly}/run`)).status).toBe(403);
  });
});

describe('a backfill', () => {
  const preview = (path: string, from: number, to: number, who = ann) =>
    who.open(`${path}/backfill?from=${field(from)}&to=${field(to)}`);

  it('shows the count and the ends of the range first, changes nothing, and then runs just these ticks', async () => {
    await world.schedule(tick(0)); // catches up 3 ticks
    const { status, body } = await preview(hourly, -8, -4);
    expect([status, body]).toEqual([200, expect.stringContaining('Run 5 ticks?')]);
    expect(body).toContain('Nothing has been done yet');
    expect(body).toContain(`datetime="${tick(-8)}"`);
    expect(body).toContain(`datetime="${tick(-4)}"`);
    expect(
      (await world.ticks('a/b:hourly')).filter((line) => line.startsWith(tick(-8).slice(0, 16))),
    ).toEqual([]);
    const range = { from: tick(-8), to: tick(-4), expect: '5', reason: 'the disk was full' };
    expect((await ann.send(`${hourly}/backfill`, { ...range, expect: '4' })).body).toContain(
      '4 were expected',
    );
    const done = await ann.send(`${hourly}/backfill`, range);
    expect([done.status, done.to]).toEqual([303, hourly]);
    expect((await preview(hourly, -8, -4)).body).toContain('None is left to run');
    const { acts } = await listActs(database.db, { act: ['cron.backfill'] });
    expect(acts).toMatchObject([{ by: 'ann', via: 'console', count: 5, reason: 'the disk was full' }]);
  });

  it('above 100 ticks the count has to be typed, over HTTP and on the command line too', async () => {
    const { body } = await preview('/console/cron/minutely', -8, -5);
    const [, count = ''] = /placeholder="type (\d+) to confirm"/.exec(body) ?? [];
    expect(Number(count)).toBeGreaterThan(100);
    const range = { from: tick(-8), to: tick(-5) };
    const path = '/console/cron/minutely/backfill';
    expect((await ann.send(path, { ...range, expect: '' })).status).toBe(400);
    const headers = { authorization: 'Bearer admin-key-of-the-tests' };
    const url = '/admin/cron/minutely/backfill';
    const asked = (payload: object) => web.server.inject({ method: 'POST', url, headers, payload });
    expect((await asked(range)).json()).toMatchObject({ status: 409, code: 'count_required' });
    expect((await asked({ ...range, expect: Number(count) - 1 })).json()).toMatchObject({
      code: 'count_differs',
    });
    expect((await ann.send(path, { ...range, expect: count })).status).toBe(303);
  });

  it('needs a beginning, and a role that may act', async () => {
    expect((await ann.open(`${hourly}/backfill`)).body).toContain('needs the beginning');
    expect((await preview(hourly, -3, -2, rita)).status).toBe(403);
  });
});

it('GET /admin/cron/:name/preview gives the plan that the page shows', async () => {
  const headers = { authorization: 'Bearer admin-key-of-the-tests' };
  const url = `/admin/cron/a%2Fb%3Ahourly/preview?from=${tick(-4)}&to=${tick(-2)}`;
  const response = await web.server.inject({ url, headers });
  expect(response.json()).toMatchObject({
    due: 2,
    skipped: 0,
    runs: [{ scheduledAt: tick(-3) }, { scheduledAt: tick(-2) }],
  });
});
