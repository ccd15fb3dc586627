// pgbouncer in transaction mode before a database, with nothing in its configuration that would make it friendlier.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from '../../src/dev/free-port.ts';
import { until } from './wait.ts';
import { tied } from './tied.ts';

const binary = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find((path) => existsSync(path));

/** Whether Debian's package is installed; `.ci/run` does it. */
export const hasPgbouncer = binary !== undefined;

export type Pgbouncer = { readonly url: string; end(): Promise<void> };

/** @param line of its configuration */
export async function startPgbouncer(target: string, line = ''): Promise<Pgbouncer> {
  const { hostname, port, username, password, pathname } = new URL(target);
  const dir = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
  const listen = await freePort();
  const name = pathname.slice(1);
  const users = join(dir, 'users.txt');
  writeFileSync(users, `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"\n`);
  const config = join(dir, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]\n${name} = host=${hostname} port=${port} dbname=${name}\n` +
      `[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${listen}\nunix_socket_dir =\nauth_type = plain\nauth_file = ${users}\n` +
      `pool_mode = transaction\ndefault_pool_size = 10\nmax_client_conn = 200\n${line}\n`,
  );
  for (const path of [dir, users, config]) chmodSync(path, 0o755);
  const asRoot = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}; // it refuses to run as root
  const child = tied(spawn(binary!, ['-q', config], { stdio: 'ignore', ...asRoot }));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = new URL(target);
  url.port = String(listen);
  url.hostname = '127.0.0.1';
  await until(() => answers(url.href), { what: 'pgbouncer' });
  return {
    url: url.href,
    async end() {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('select 1');
  await client.end();
  return true;
}
