// `waybill cron …` as its users see it, and `release` where cron is wrong.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { activate, report } from '../../src/cron/activation.ts';
import { manifestOf } from '../../src/cron/manifest.ts';
import { createZones } from '../../src/cron/zones.ts';
import { waybill, type Ended } from '../support/command.ts';
import { cronApp, cronEnv, type MarkJob } from '../support/cron-app.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { adminKey, testWeb, type TestWeb } from '../support/web.ts';

const jobs: MarkJob[] = [
  { name: 'hourly', schedule: '0 * * * *', missedTickPolicy: 'all', maxCatchUpTicks: 2 },
  { name: 'nightly', schedule: '30 2 * * *', timeZone: 'Europe/Berlin' },
];

let database: TestDatabase;
let web: TestWeb;
let address: string;
beforeAll(async () => {
  database = await testDatabase();
  const { code } = await command('release');
  expect(code).toBe(0);
  const manifest = manifestOf(cronApp(jobs));
  await report(database.db, manifest, { process: 'test', delivers: true });
  await activate(database.db, manifest, createZones());
  web = testWeb(cronApp(jobs), database.url);
  address = await web.server.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await web.end();
  await database.end();
});

const here = (): Record<string, string> => ({ DATABASE_URL: database.url, ...cronEnv(jobs) });
const command = (line: string, env = here()): Promise<Ended> => waybill(line.split(' '), env);
const json = async (line: string): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await command(`${line} --json`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
};

describe('usage: exit code 2, a sentence that helps, nothing on stdout', () => {
  test.each<[string, RegExp]>([
    ['cron', /Usage: waybill cron/],
    ['cron lst', /Did you mean list/],
    ['cron run', /missing required argument/],
    ['cron run hourly --scheduled-at tomorrow', /ISO 8601.*\(invalid_time\)/],
    ['cron run hourly --scheduled-at 1700000000', /looks like seconds: 1700000000000/],
    ['cron run hourly --scheduled-at -1', /milliseconds since 1970/],
    ['cron run hourly --scheduled-at 99999999999999999', /milliseconds since 1970/],
    ['cron run hourly --scheduled-at 2026-02-30T00:00:00Z', /ISO 8601/],
    ['cron run hourly --scheduled-at 2026-02-30', /milliseconds since 1970, or a time in ISO 8601/],
    ['cron run hourly --scheduled-at 0', /from the year 2000 on/],
    ['cron run hourly --project-url localhost:3000', /\(invalid_url\)/],
    ['cron run hourly --project-url ftp://x', /\(invalid_url\)/],
    ['cron runs --status ded', /There are dispatched, succeeded, failed, skipped/],
    ['cron preview hourly --from yesterday', /ISO 8601/],
    ['cron preview hourly --from 2026-05-02T00:00:00Z --to 2026-05-01T00:00:00Z', /\(empty_range\)/],
  ])('%s', async (line, message) => {
    const { code, stdout, stderr } = await command(line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

test('list shows the jobs, preview what a catch-up would run and skip, run and runs what was run by hand', async () => {
  expect(await json('cron list')).toMatchObject({
    jobs: [
      { name: 'hourly', words: 'at minute 0 of every hour, UTC' },
      { name: 'nightly', timeZone: 'Europe/Berlin' },
    ],
    manifests: [{ status: 'active', jobs: 2 }],
  });
  expect(
    await json('cron preview hourly --from 2026-05-01T10:30:00Z --to 2026-05-01T14:10:00Z'),
  ).toMatchObject({
    due: 4,
    runs: [
      { scheduledAt: '2026-05-01T13:00:00.000Z', skippedTicks: 2 },
      { scheduledAt: '2026-05-01T14:00:00.000Z' },
    ],
    skippedTicks: ['2026-05-01T11:00:00.000Z', '2026-05-01T12:00:00.000Z'],
    nextTick: '2026-05-01T15:00:00.000Z',
  });
  for (let i = 0; i < 2; i++)
    expect(await json('cron run nightly --scheduled-at 1777595400000')).toMatchObject({
      name: 'nightly',
      source: 'admin',
    });
  const { runs } = (await json('cron runs --name nightly')) as { runs: Record<string, unknown>[] };
  expect(runs.map((run) => run['scheduledAt'])).toEqual(Array(2).fill('2026-05-01T00:30:00.000Z'));
  const { stdout } = await command('cron list');
  expect(stdout).toMatch(/nightly\s+30 2 \* \* \*\s+at 02:30, Europe\/Berlin\s+mark/);
  expect((await command('cron runs')).stdout).toMatch(
    /nightly\s+2026-05-01T00:30:00.000Z\s+admin\s+dispatched/,
  );
  expect(
    (await command('cron preview hourly --from 2026-05-01T10:30:00Z --to 2026-05-01T14:10:00Z')).stdout,
  ).toContain('2 are skipped');
});

test('list says by how much a job is overdue instead of a tick in the future', async () => {
  const due = (when: string): Promise<unknown> =>
    database.db.executeSql(
      `update waybill.cron_jobs set next_at = now() + $1::interval where name = 'hourly'`,
      [when],
    );
  await due('-5 minutes -30 seconds');
  expect((await command('cron list')).stdout).toMatch(/hourly .*mark +overdue 5m\d+s/);
  const { jobs: listed } = (await json('cron list')) as {
    jobs: { name: string; overdueSeconds: number | null }[];
  };
  const overdue = new Map(listed.map(({ name, overdueSeconds }) => [name, overdueSeconds]));
  expect(overdue.get('hourly')).toBeGreaterThanOrEqual(330);
  expect(overdue.get('nightly')).toBeNull();
  await due('1 hour');
});

describe('run --project-url', () => {
  const remote = (env: Record<string, string>, url = address, name = 'nightly'): Promise<Ended> =>
    waybill(['cron', 'run', name, '--project-url', url, '--json'], env);

  test('goes over HTTP with the admin key, and needs no database here', async () => {
    const { code, stdout } = await remote({ WAYBILL_ADMIN_KEY: adminKey });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'nightly', source: 'admin', status: 'dispatched' });
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['no key', {}, /set WAYBILL_ADMIN_KEY.*\(unauthorized\)/],
    [
      'a wrong key',
      { WAYBILL_ADMIN_KEY: 'geheim' },
      /answered 401.*WAYBILL_ADMIN_KEY here and there.*\(unauthorized\)/,
    ],
  ])('%s: 1, the variable is named, the key is not', async (_, env, message) => {
    const { code, stdout, stderr } = await remote(env);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain('geheim');
  });

  test('a job that is not there: 1', async () => {
    const { code, stderr } = await remote({ WAYBILL_ADMIN_KEY: adminKey }, address, 'nightli');
    expect(code).toBe(1);
    expect(stderr).toMatch(/answered 404.*was nightly meant.*\(unknown_cron_job\)/);
  });

  test('a host that does not answer: 69 with the cause', async () => {
    const { code, stderr } = await remote({ WAYBILL_ADMIN_KEY: adminKey }, 'http://127.0.0.1:1');
    expect(code).toBe(69);
    expect(stderr).toMatch(/cannot be reached: .*\(unreachable\)/);
  });

  test('something else that answers: 1', async () => {
    const other = createServer((_, response) => response.end('<html>'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const { code, stderr } = await remote({ WAYBILL_ADMIN_KEY: adminKey }, url);
    other.closeAllConnections();
    other.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/\(not_waybill\)/);
  });
});

test('an unknown job, here: 1, the nearest is named', async () => {
  for (const line of ['cron run hourli', 'cron preview hourli']) {
    const { code, stderr } = await command(line);
    expect(code).toBe(1);
    expect(stderr).toMatch(/was hourly meant/);
  }
});

test('release with a schedule that is wrong: 1, file, job and expression are named, nothing is staged', async () => {
  const wrong = [{ name: 'often', schedule: '61 * * * *' }];
  const { code, stderr } = await command('release', { DATABASE_URL: database.url, ...cronEnv(wrong) });
  expect(code).toBe(1);
  expect(stderr).toContain('test/support/cron-app.ts');
  expect(stderr).toMatch(/job often, "61 \* \* \* \*": schedule: minute: "61"/);
  const { rows } = await database.db.executeSql('select count(*)::int as n from waybill.cron_manifests');
  expect(rows).toEqual([{ n: 1 }]);
});
