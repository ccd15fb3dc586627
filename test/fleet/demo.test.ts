// `npm run demo`: the whole fleet as real processes, on a database of this test.

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isAlive } from '../support/alive.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/wait.ts';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const roles = ['email', 'jobs', 'relay', 'scheduler', 'web'];

let database: TestDatabase;
beforeEach(async () => {
  database = await testDatabase({ migrated: false });
});
afterEach(() => database.end());

function demo(args: readonly string[] = []): ChildProcessWithoutNullStreams {
  const env = { PATH: process.env['PATH'], DATABASE_URL: database.url };
  return spawn(process.execPath, ['--import', 'tsx', 'dev/demo.ts', ...args], { cwd: PROJECT, env });
}

/** Process ids of the fleet, once every role has reported itself. */
function running(): Promise<number[]> {
  return until(
    async () => {
      const { rows } = await database.db.executeSql<{ role: string; pid: number }>(
        'select role, pid from waybill.processes order by role',
      );
      return rows.length === roles.length && rows.map((row) => row.pid);
    },
    { what: 'a process for each role', timeoutMs: 40_000 },
  );
}

describe('demo', () => {
  test('--once places 20 orders, shows the way of all they set off, and exits 0', async () => {
    const child = demo(['--once']);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^20 orders placed, 20 complete: 80 messages delivered/m);
    for (const part of ['receipt', 'event', 'listener', 'job'])
      expect(
        stdout.match(
          new RegExp(
            `^order #\\d+ \\S+ ${part} +relayed \\+\\d+ ms → claimed \\+\\d+ ms → delivered \\+\\d+ ms$`,
            'gm',
          ),
        ),
      ).toHaveLength(20);
    expect(stdout).toMatch(/^API {6}http:\S+\/orders/m);
    expect(stdout).toMatch(/^admin {4}http:\S+\/admin\/outbox .*Bearer \S{16,}/m);
    expect(stdout.match(/^metrics {2}http/gm)).toHaveLength(roles.length);
    expect((await database.db.executeSql('select from waybill.processes')).rows).toEqual([]);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s stops everything in order', async (signal) => {
    const child = demo();
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const pids = await running();
    await until(() => said.includes('logs '), { what: 'the fleet to be ready' }); // before that, it only gives up its start
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number];
    expect(code).toBe(0);
    expect(said).toContain('stopped: no process is left');
    expect(pids.filter(isAlive)).toEqual([]);
    // Each one left by itself: a process that was killed cannot take its row away.
    expect((await database.db.executeSql('select from waybill.processes')).rows).toEqual([]);
  });

  test('SIGKILL of the supervisor leaves no process behind', async () => {
    const child = demo();
    const pids = await running();
    child.kill('SIGKILL');
    await once(child, 'exit');
    await until(() => pids.every((pid) => !isAlive(pid)), { what: 'the end of all processes' });
  });

  test('an unknown option: 2, nothing is started', async () => {
    const child = demo(['--onse']);
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    expect(code).toBe(2);
    expect(stderr).toContain('--onse');
  });
});
