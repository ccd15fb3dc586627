// The embedded Postgres: comes back after a crash, and never outlives whoever started it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { startPostgres } from '../../src/dev/postgres.ts';
import { isAlive } from '../support/alive.ts';
import { until } from '../support/wait.ts';

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined); // these tests end the server under it
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('committed rows survive an immediate stop and a kill, on the same port', async () => {
  const postgres = await startPostgres({ persistent: false });
  try {
    const url = postgres.url();
    await ask(url, 'create table kept as select 1 as a');
    await postgres.stop('immediate');
    await expect(ask(url, 'select 1')).rejects.toThrow(/ECONNREFUSED/);
    await postgres.start();
    expect(await ask(url, 'select a from kept')).toEqual([{ a: 1 }]);
    await postgres.kill();
    await postgres.start();
    expect(await ask(url, 'select a from kept')).toEqual([{ a: 1 }]);
  } finally {
    await postgres.end();
  }
  expect(existsSync(postgres.dir)).toBe(false);
});

test('a second server on the same directory is refused with the reason', { timeout: 30_000 }, async () => {
  const postgres = await startPostgres({ persistent: false });
  try {
    await expect(startPostgres({ dir: postgres.dir })).rejects.toThrow(/runs on .* already/);
  } finally {
    await postgres.end();
  }
});

test('it goes with its parent, even when that is killed by SIGKILL, and so does data that was not to stay', async () => {
  const module = new URL('../../src/dev/postgres.ts', import.meta.url).href;
  const code = `import { startPostgres } from '${module}';
    const postgres = await startPostgres({ persistent: false });
    console.log(postgres.dir);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = (await once(parent.stdout, 'data')) as [Buffer];
  const dir = output.toString().trim();
  const server = Number.parseInt(readFileSync(`${dir}/postmaster.pid`, 'utf8'), 10);
  expect(isAlive(server)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(server), { what: 'the end of the server' });
  await until(() => !existsSync(dir), { what: 'the end of its data' });
});
