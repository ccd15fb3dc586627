// docs/cron.md: its application is loaded, its table of changed clocks is computed, its commands are run.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nextTick } from '../../src/cron/ticks.ts';
import { createZones } from '../../src/cron/zones.ts';
import { missedTickPolicies, overlaps } from '../../src/define/cron-job.ts';
import { readSchedule } from '../../src/define/cron/schedule.ts';
import { loadApp } from '../../src/define/load.ts';
import { runStatuses } from '../../src/cron/runs.ts';
import { cronWorld } from '../support/cron.ts';
import { waybill } from '../support/command.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

const page = readFileSync(new URL('../../docs/cron.md', import.meta.url), 'utf8');
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text]) => text!);
const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.replaceAll('`', '').trim());

let database: TestDatabase;
let file: string;
beforeAll(async () => {
  database = await testDatabase();
  // Beside this test, so that its imports are found as a user's are.
  file = fileURLToPath(new URL(`cron-example-${process.pid}.ts`, import.meta.url));
  const [source] = blocks('ts');
  writeFileSync(file, source!.replaceAll(`'waybill'`, `'../../src/index.ts'`));
});
afterAll(async () => {
  rmSync(file);
  await database.end();
});

describe('docs/cron.md', () => {
  it('its application is one, and its commands do what they say', async () => {
    const app = await loadApp(file);
    const world = cronWorld(database.db);
    await world.deploy(app, new Date('2026-05-01T10:30:00Z'));
    const commands = blocks('sh').flatMap((block) => block.trim().split('\n'));
    expect(commands.length).toBeGreaterThanOrEqual(6);
    for (const line of commands) {
      const { code, stdout, stderr } = await waybill(line.split(' ').slice(1), {
        DATABASE_URL: database.url,
      });
      expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
      expect(stdout).not.toBe('');
    }
    expect(await world.ticks('clean-roof')).toHaveLength(2);
    await world.work(app);
    expect((await world.ticks('clean-roof')).every((tick) => tick.endsWith(' succeeded'))).toBe(true);
  }, 300_000); // each command is a process, on a machine that may be busy

  it('its table of changed clocks is what happens', () => {
    const zones = createZones();
    const rows = page
      .split('\n')
      .filter((line) => /^\| `[^`]*\* \* \*` +\| `\w+\/\w+`/.test(line))
      .map(cells);
    expect(rows).toHaveLength(6);
    for (const [expression, zone, day, local, utc] of rows) {
      const read = readSchedule(expression);
      if ('problem' in read) throw new Error(read.problem);
      const midnight = zones(zone!).instantOf(Date.parse(`${day}T00:00Z`));
      const tick = nextTick({ schedule: read.schedule, zone: zones(zone!) }, midnight);
      expect(new Date(tick).toISOString().slice(0, 16)).toBe(utc);
      const shown = new Date(tick + zones(zone!).offsetAt(tick)).toISOString().slice(11, 16);
      expect(local!.slice(0, 5)).toBe(shown);
    }
  });

  it('it names every policy and every status', () => {
    for (const word of [...missedTickPolicies, ...overlaps, ...runStatuses])
      expect(page).toMatch(new RegExp(`[\`']${word}`));
  });
});
