// The drills of docs/incidents.md, as they are written there: each command by a shell, on a fleet of real processes. With DRILLS_DATABASE_URL they run
// on that database, which keeps what they leave, with 5,000 dead messages and 20,000 wrong emails, and their times are printed.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/db/pool.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { hasChromium, startChromium, type Browser, type Tab } from '../support/chromium.ts';
import { consoleDrills, setUp } from '../support/console-drills.ts';
import { cronWorld } from '../support/cron.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import app, { drillTables } from '../support/drills-app.ts';
import { drills, type Drill, type Stage } from '../support/drills.ts';
import { testFleet, type Running } from '../support/fleet.ts';
import { handAt } from '../support/hand.ts';
import { incidents, openShell, type Incident, type Shell } from '../support/incidents.ts';
import { until } from '../support/wait.ts';

const adminKey = 'admin-key-of-the-drills';

const given = process.env['DRILLS_DATABASE_URL'];
const sizes = given === undefined ? { dead: 200, wrong: 2_000 } : { dead: 5_000, wrong: 20_000 };
const page = incidents();

let database: Pick<TestDatabase, 'db' | 'url' | 'end'>;
let stage: Stage;
let shell: Shell;
let all: Running;
const times: string[] = [];

function givenDatabase(url: string): Pick<TestDatabase, 'db' | 'url' | 'end'> {
  const db = openDatabase({ url, max: 10, applicationName: 'waybill-drills', onIdleError: () => undefined });
  return { db, url, end: () => db.end() };
}

beforeAll(async () => {
  database = given === undefined ? await testDatabase() : givenDatabase(given);
  const { db, url } = database;
  await db.executeSql(drillTables);
  const cron = cronWorld(db);
  const now = Date.now();
  await cron.deploy(app, new Date(now - 26 * 3_600_000));
  await cron.schedule(new Date(now).toISOString());
  const fleet = testFleet({
    DATABASE_URL: url,
    WAYBILL_APP: 'test/support/drills-app.ts',
    WAYBILL_POLL_INTERVAL: '200ms',
    WAYBILL_EMAIL_RATE: '100',
    WAYBILL_DELIVERED_RETENTION: '30d',
    PORT: '0',
    HOST: '127.0.0.1',
    WAYBILL_ADMIN_KEY: adminKey,
  });
  stage = { db, url, outbox: createPostgresOutbox(db), fleet, sizes, words: {} };
  shell = openShell(url);
  all = await fleet.start('all');
});
afterAll(async () => {
  if (times.length > 0) console.log(['', ...times].join('\n'));
  shell.end();
  await stage.fleet.end();
  await database.end();
});

/** @returns milliseconds that the commands of each step took, without what the setup and the waits of the test took */
async function run({ setup, steps }: Drill, incident: Incident): Promise<number[]> {
  await setup(stage);
  const ms: number[] = [];
  for (const [i, { blocks }] of incident.steps.entries()) {
    await steps[i]!.before?.(stage);
    const said: string[] = [];
    const began = performance.now();
    for (const block of blocks) said.push(await shell.run(block, stage.words));
    ms.push(performance.now() - began);
    await steps[i]!.after?.(said.join(''), stage);
  }
  return ms;
}

describe('docs/incidents.md', () => {
  it('has ten drills, each of at most five steps with a command and a place in the console, and each with its end', () => {
    expect(page.map(({ title }) => title).toSorted()).toEqual(drills.map(({ title }) => title).toSorted());
    expect(page).toHaveLength(10);
    for (const { title, steps, over } of page) {
      expect([title, steps.length, over]).toEqual([
        title,
        expect.toSatisfy((n) => n <= 5),
        expect.any(String),
      ]);
      expect([title, steps.every(({ blocks }) => blocks.length > 0)]).toEqual([title, true]);
    }
  });

  it.each(drills.map((drill) => [drill.title, drill] as const))(
    '%s',
    async (title, drill) => {
      const incident = page.find((one) => one.title === title)!;
      expect(drill.steps).toHaveLength(incident.steps.length);
      const ms = await run(drill, incident);
      if (given === undefined) return;
      const seconds = (all: readonly number[]): string =>
        (all.reduce((sum, one) => sum + one, 0) / 1_000).toFixed(1);
      times.push(
        `${title}: ${ms.length} steps, ${seconds(ms)} s (${ms.map((one) => seconds([one])).join(', ')})`,
      );
    },
    given === undefined ? 240_000 : 600_000,
  );
});

if (!hasChromium) console.warn('chromium is not installed: the drills in a browser are SKIPPED');

describe.runIf(hasChromium && given === undefined)('docs/incidents.md in the console', () => {
  let browser: Browser;
  let tab: Tab;
  let base: string;
  beforeAll(async () => {
    browser = await startChromium();
    tab = await browser.tab();
    base = await until(() =>
      all.lines.map((line) => line['address']).find((address) => typeof address === 'string'),
    );
    await tab.open(`${base}/console`);
    const hand = handAt(tab);
    await hand.fill('input[name=name]', 'ann');
    await hand.fill('input[name=key]', adminKey);
    await hand.submit('form');
  });
  afterAll(() => browser.close());

  it.each(consoleDrills.map((drill) => [drill.title, drill] as const))(
    '%s',
    async (title, { steps, run: drill }) => {
      await setUp(title, stage);
      await tab.open(`${base}/console`);
      const hand = handAt(tab);
      await drill(hand, stage);
      expect(hand.steps()).toBe(steps);
    },
    240_000,
  );
});
