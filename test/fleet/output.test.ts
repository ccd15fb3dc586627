// Real processes whose log cannot be written: stdout on a full disk (/dev/full), in a pipe that nobody reads, in one whose reader has gone.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { waybillCommand } from '../support/command.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import type { Role } from '../support/fleet.ts';
import { until } from '../support/wait.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const roles: readonly Role[] = ['web', 'relay', 'email', 'jobs', 'scheduler'];
type Where = 'a full disk' | 'a pipe that nobody reads' | 'a pipe whose reader has gone';
const places: readonly Where[] = ['a full disk', 'a pipe that nobody reads', 'a pipe whose reader has gone'];

let world: World;
const children: ChildProcess[] = [];
beforeAll(async () => {
  world = await fleetWorld();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    const over = child.exitCode !== null || child.signalCode !== null;
    child.kill('SIGKILL');
    if (!over) await once(child, 'exit');
  }
});
afterAll(() => world.end());

function start(role: Role, where: Where): ChildProcess {
  const full = where === 'a full disk' ? openSync('/dev/full', 'w') : undefined;
  const child = spawn(process.execPath, ['--import', 'tsx', `workers/${role}.ts`], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      DATABASE_URL: world.database.url,
      WAYBILL_APP: 'test/support/fleet-app.ts',
      WAYBILL_POLL_INTERVAL: '200ms',
      WAYBILL_SHUTDOWN_GRACE: '15s',
      LOG_LEVEL: 'trace',
      PORT: '0',
    },
    stdio: ['ignore', full ?? 'pipe', 'ignore'],
  });
  if (full !== undefined) closeSync(full);
  if (where === 'a pipe that nobody reads') child.stdout!.pause();
  if (where === 'a pipe whose reader has gone') child.stdout!.destroy();
  children.push(child);
  return child;
}

const alive = `select count(distinct role)::int as n from waybill.processes`;
const linesLost = `select coalesce(sum(value), 0)::int as n from waybill.counters where name = 'waybill_log_lines_lost_total' and labels ->> 'reason' = $1`;

describe('G4: a log that cannot be written', () => {
  it.each(places)('stops neither the work nor the end of any role: %s', async (where) => {
    const fleet = roles.map((role) => start(role, where));
    const up = async (): Promise<boolean> => (await world.count(alive)) === roles.length;
    await until(up, { what: 'five processes', timeoutMs: 60_000 });
    const ids = await world.enqueue('work', { ms: 0 }, 600); // some 200 kB of lines, three times what a pipe holds
    await world.quiet(60_000);
    const marks = await world.marks('work');
    expect(ids.every((id) => marks.has(id))).toBe(true);
    for (const child of fleet) expect(child.exitCode).toBeNull();
    const codes = Promise.all(fleet.map((child) => once(child, 'exit') as Promise<[number | null]>));
    for (const child of fleet) child.kill('SIGTERM');
    expect((await codes).map(([code]) => code)).toEqual(roles.map(() => 0));
    const reason = { 'a full disk': 'ENOSPC', 'a pipe whose reader has gone': 'EPIPE' }[where as string];
    if (reason !== undefined) expect(await world.count(linesLost, [reason])).toBeGreaterThan(100);
  });

  it('is a failure of a command whose result is lost, and says so', async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [...waybillCommand, 'outbox', 'stats', '--json'], {
      cwd: root,
      env: { PATH: process.env['PATH'], DATABASE_URL: world.database.url },
      stdio: ['ignore', full, 'pipe'],
    });
    closeSync(full);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number | null];
    expect(said).toContain('the result could not be written: ENOSPC');
    expect(said).not.toContain('    at ');
    expect(code).toBe(1);
  });

  it('is no failure of a drain, which works on', async () => {
    const [id] = await world.enqueue('work', { ms: 0 });
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [...waybillCommand, 'outbox', 'drain'], {
      cwd: root,
      env: {
        PATH: process.env['PATH'],
        DATABASE_URL: world.database.url,
        WAYBILL_APP: 'test/support/fleet-app.ts',
        LOG_LEVEL: 'trace',
      },
      stdio: ['ignore', 'pipe', full],
    });
    closeSync(full);
    let result = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (result += text));
    const [code] = (await once(child, 'close')) as [number | null];
    expect(result).toContain('1 delivered');
    expect(code).toBe(0);
    expect((await world.marks('work')).has(id!)).toBe(true);
  });
});
