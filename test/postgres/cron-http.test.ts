import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineAction } from '../../src/define/action.ts';
import { defineApp } from '../../src/define/app.ts';
import { defineCron } from '../../src/define/cron.ts';
import { cronWorld, type CronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, apiKey, testWeb, type TestWeb } from '../support/web.ts';

const clean = defineAction({
  name: 'rooms.clean',
  access: 'system',
  args: z.object({ secret: z.string() }),
  handler: async () => null,
});
const app = defineApp({
  actions: [clean],
  cron: defineCron({
    jobs: [
      {
        name: 'nightly',
        schedule: '30 2 * * 1-5',
        timeZone: 'Europe/Berlin',
        action: clean,
        args: { secret: 'tea' },
      },
      {
        name: 'a/b:c',
        schedule: '0 * * * *',
        action: clean,
        args: { secret: '' },
        missedTickPolicy: 'all',
        overlap: 'allow',
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
  world = cronWorld(database.db);
  await world.deploy(app, new Date());
});
afterAll(async () => {
  await web.end();
  await database.end();
});

type Answer = { readonly status: number; readonly body: Record<string, unknown> };
async function ask(method: 'GET' | 'POST', url: string, payload?: unknown, key = adminKey): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const answer = await web.server.inject({
    method,
    url,
    headers,
    ...(payload === undefined ? {} : { payload: JSON.stringify(payload) }),
  });
  return { status: answer.statusCode, body: answer.json() };
}

describe('GET /admin/cron', () => {
  it('tells expression, zone, words, the next five ticks, the last run and the policy, and never the arguments', async () => {
    await ask('POST', '/admin/cron/nightly/run');
    const { status, body } = await ask('GET', '/admin/cron');
    expect(status).toBe(200);
    expect(JSON.stringify(body)).not.toContain('tea');
    const [, nightly] = body['jobs'] as Record<string, unknown>[];
    expect(nightly).toMatchObject({
      name: 'nightly',
      schedule: '30 2 * * 1-5',
      timeZone: 'Europe/Berlin',
      words: 'at 02:30 on Monday to Friday, Europe/Berlin',
      action: 'rooms.clean',
      missedTickPolicy: 'latest',
      overlap: 'allow',
      lastRun: { status: 'dispatched', source: 'admin' },
    });
    const ticks = nightly!['nextTicks'] as string[];
    expect(ticks).toHaveLength(5);
    expect(ticks.every((tick, i) => i === 0 || tick > ticks[i - 1]!)).toBe(true);
    expect(body['manifests']).toMatchObject([
      { version: world.manifestOf(app).hash, status: 'active', jobs: 2 },
    ]);
  });

  it('is closed without the key', async () => {
    for (const [method, url] of [
      ['GET', '/admin/cron'],
      ['GET', '/admin/cron/runs'],
      ['POST', '/admin/cron/nightly/run'],
    ] as const)
      expect((await ask(method, url, undefined, 'wrong')).status).toBe(401);
  });
});

describe('POST /admin/cron/:name/run', () => {
  it('runs by hand, as often as somebody asks, and notifies', async () => {
    const before = web.nudges();
    const scheduledAt = Date.UTC(2026, 4, 1, 2, 30);
    const first = await ask('POST', '/admin/cron/nightly/run', { scheduledAt });
    const second = await ask('POST', '/admin/cron/nightly/run', { scheduledAt });
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.body).toMatchObject({
      name: 'nightly',
      scheduledAt: new Date(scheduledAt).toISOString(),
      source: 'admin',
      status: 'dispatched',
      skippedTicks: 0,
      catchUpWindow: null,
      manifestVersion: world.manifestOf(app).hash,
      messageId: expect.any(String) as string,
      finishedAt: null,
      error: null,
    });
    expect(second.body['id']).not.toBe(first.body['id']);
    expect(web.nudges()).toBe(before + 2);
    expect((await ask('POST', `/admin/cron/${encodeURIComponent('a/b:c')}/run`)).status).toBe(200);
  });

  it.each<[string, unknown, number, string, RegExp]>([
    ['nightli', {}, 404, 'unknown_cron_job', /was nightly meant/],
    ['nothing', {}, 404, 'unknown_cron_job', /there are a\/b:c, nightly/],
    ['nightly%00', {}, 404, 'unknown_cron_job', /no cron job/],
    ['nightly', { scheduledAt: 'tomorrow' }, 400, 'invalid_time', /scheduledAt must be/],
    ['nightly', { scheduledAt: 1_700_000_000 }, 400, 'invalid_time', /looks like seconds: 1700000000000/],
    ['nightly', { scheduledAt: -1 }, 400, 'invalid_time', /milliseconds since 1970/],
    ['nightly', { scheduledAt: 0 }, 400, 'invalid_time', /from the year 2000/],
    ['nightly', { scheduledAt: 1.5 }, 400, 'invalid_time', /milliseconds/],
    ['nightly', { scheduledAt: 99_999_999_999_999 * 10 }, 400, 'invalid_time', /milliseconds/],
    ['nightly', { scheduledAt: null }, 400, 'invalid_arguments', /scheduledAt/],
    ['nightly', { scheduleAt: 1 }, 400, 'invalid_arguments', /did you mean scheduledAt/],
    ['nightly', [], 400, 'body_not_object', /object/],
  ])('%s with %j: %i %s', async (name, payload, status, code, message) => {
    const answer = await ask('POST', `/admin/cron/${name}/run`, payload);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.body['detail']).toMatch(message);
  });

  it('callers over HTTP do not reach an action of the system', async () => {
    const answer = await ask('POST', '/actions/rooms.clean', { secret: 'x' }, apiKey);
    expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    const { body } = await ask('GET', '/openapi.json');
    expect(JSON.stringify(body)).not.toContain('rooms.clean');
  });
});

describe('GET /admin/cron/runs', () => {
  it('newest first, by pages, filtered by name and status', async () => {
    const all = (await ask('GET', '/admin/cron/runs')).body['runs'] as { id: string }[];
    expect(all.length).toBeGreaterThanOrEqual(3);
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .toSorted()
        .toReversed(),
    );
    const first = (await ask('GET', '/admin/cron/runs?limit=2')).body;
    const rest = (await ask('GET', `/admin/cron/runs?cursor=${String(first['nextCursor'])}`)).body;
    expect([...(first['runs'] as object[]), ...(rest['runs'] as object[])]).toEqual(all);
    const named = (await ask('GET', '/admin/cron/runs?name=a/b:c&status=dispatched&status=failed')).body[
      'runs'
    ];
    expect(named).toMatchObject([{ name: 'a/b:c', status: 'dispatched' }]);
    expect((await ask('GET', '/admin/cron/runs?status=succeeded')).body).toEqual({
      runs: [],
      nextCursor: null,
    });
  });

  it.each([
    ['status=ded', 'invalid_status'],
    ['status=skiped', 'invalid_status'],
    ['limit=0', 'invalid_limit'],
    ['cursor=abc', 'invalid_cursor'],
    ['nam=x', 'invalid_arguments'],
    ['name=', 'invalid_filter'],
  ])('%s: 400 %s', async (query, code) => {
    expect(await ask('GET', `/admin/cron/runs?${query}`)).toMatchObject({ status: 400, body: { code } });
  });
});
