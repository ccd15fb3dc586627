// A process whose supervisor was killed: it drains like any other, however many tell it that it is time.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isAlive } from '../support/alive.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { until } from '../support/wait.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const pids: number[] = [];

let world: World;
beforeAll(async () => {
  world = await fleetWorld();
});
afterAll(async () => {
  for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGKILL');
  await world.end();
});

/** A worker below a shell that stands for its supervisor. */
async function supervised(): Promise<{ shell: number; worker: number; lines: string[] }> {
  const child = spawn(
    '/bin/sh',
    ['-c', '"$@" & echo "$!"; wait', 'sh', process.execPath, '--import', 'tsx', 'workers/jobs.ts'],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        DATABASE_URL: world.database.url,
        WAYBILL_APP: 'test/support/fleet-app.ts',
        WAYBILL_LEASE: '5s',
        WAYBILL_POLL_INTERVAL: '200ms',
        WAYBILL_SUPERVISED: '1',
      },
    },
  );
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await until(() => lines.some((line) => line.includes('jobs: started')), {
    what: 'the start of the worker',
  });
  const worker = Number(lines.find((line) => /^\d+$/.test(line)));
  pids.push(worker, child.pid!);
  return { shell: child.pid!, worker, lines };
}

it('finishes what runs when its supervisor is killed and the watchdog sends SIGTERM as well', async () => {
  const relay = await world.fleet.start('relay');
  const { shell, worker, lines } = await supervised();
  const [long] = await world.enqueue('stubborn', { ms: 3_000 });
  await until(async () => (await world.marks('begin')).has(long!), { what: 'a long delivery' });
  process.kill(worker, 'SIGTERM');
  process.kill(shell, 'SIGKILL');
  await until(() => !isAlive(worker), { what: 'the end of the worker' });
  expect(await world.counts()).toEqual({ delivered: 1 });
  expect([...(await world.marks('begin')).values()]).toEqual([1]);
  expect(lines.filter((line) => line.includes('stopping: finishing what runs'))).toHaveLength(1);
  await until(() => lines.at(-1)?.includes('jobs: stopped'), { what: 'its last line' });
  await relay.stop();
});

it('leaves by itself when only its supervisor is gone', async () => {
  const { shell, worker, lines } = await supervised();
  process.kill(shell, 'SIGKILL');
  await until(() => !isAlive(worker), { what: 'the end of the worker' });
  expect(lines.join('\n')).toContain('supervisor gone');
  await until(() => lines.at(-1)?.includes('jobs: stopped'), { what: 'its last line' });
});
