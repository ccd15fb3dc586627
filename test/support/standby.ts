// A primary and a standby of Debian's Postgres, streaming, for tests of failover. Both are real, in temporary folders, as the user postgres.

import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/dev/free-port.ts';
import { isAlive } from './alive.ts';
import { until } from './wait.ts';

const bin = '/usr/lib/postgresql/15/bin';

/** Debian's Postgres 15 is installed, and we may run it as its user. */
export const hasStandby = existsSync(`${bin}/pg_basebackup`) && process.getuid?.() === 0;

export type Pair = {
  readonly primaryUrl: string;
  readonly primaryPort: number;
  readonly standbyUrl: string;
  readonly standbyPort: number;
  /** Ends the primary at once, as a machine that loses its power. */
  killPrimary(): Promise<void>;
  /** Starts the primary again, as it was: it knows of no promotion. */
  restartPrimary(): Promise<unknown>;
  promote(): void;
  end(): void;
};

/** The user `postgres`, as which Debian's Postgres runs. */
export function postgresUser(): { uid: number; gid: number } {
  const [, , uid = '', gid = ''] = /^postgres:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))![0].split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/** @param synchronous whether a commit of the primary waits until the standby has it; default: no */
export async function startPair({ synchronous = false } = {}): Promise<Pair> {
  const dir = mkdtempSync(join(tmpdir(), 'standby-'));
  const { uid, gid } = postgresUser();
  chownSync(dir, uid, gid);
  const [primaryPort, standbyPort] = [await freePort(), await freePort()];
  const run = (name: string, args: readonly string[]): void =>
    void execFileSync(join(bin, name), args, { uid, gid, stdio: 'ignore', cwd: dir });
  function start(data: string, port: number, setting = ''): void {
    const log = join(dir, `${port}.log`);
    const options = `-p ${port} -k ${dir} -c listen_addresses=127.0.0.1 -c fsync=off ${setting}`;
    try {
      run('pg_ctl', ['-D', data, '-w', '-l', log, '-o', options, 'start']);
    } catch (cause) {
      throw new Error(`Postgres did not start: ${readFileSync(log, 'utf8').slice(-500)}`, { cause });
    }
  }
  const [primary, standby] = [join(dir, 'primary'), join(dir, 'standby')];
  run('initdb', ['-D', primary, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N']);
  start(primary, primaryPort);
  run('pg_basebackup', [
    '-D',
    standby,
    '-R',
    '-X',
    'stream',
    '-c',
    'fast',
    '-h',
    '127.0.0.1',
    '-p',
    String(primaryPort),
    '-U',
    'postgres',
    '-N',
  ]);
  start(standby, standbyPort);
  const waits = synchronous ? `-c synchronous_standby_names='*'` : '';
  if (synchronous) {
    run('pg_ctl', ['-D', primary, '-w', '-m', 'fast', 'stop']);
    start(primary, primaryPort, waits);
  }
  const url = (port: number): string => `postgres://postgres@127.0.0.1:${port}/postgres`;
  return {
    primaryUrl: url(primaryPort),
    standbyUrl: url(standbyPort),
    primaryPort,
    standbyPort,
    async killPrimary() {
      const pid = Number(readFileSync(join(primary, 'postmaster.pid'), 'utf8').split('\n')[0]);
      process.kill(pid, 'SIGKILL');
      await until(() => !isAlive(pid), { what: 'the end of the primary' });
      rmSync(join(primary, 'postmaster.pid')); // what a machine that starts again judges stale
    },
    // Postgres does not start while a process of the killed server has its shared memory. Each ends when it notices that the server is gone.
    restartPrimary: () =>
      until(() => (start(primary, primaryPort, waits), true), { what: 'the start of the old primary' }),
    promote: () => run('pg_ctl', ['-D', standby, '-w', 'promote']),
    end() {
      for (const data of [standby, primary])
        if (existsSync(join(data, 'postmaster.pid'))) run('pg_ctl', ['-D', data, '-m', 'immediate', 'stop']);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
