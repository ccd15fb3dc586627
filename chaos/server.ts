// The Postgres of a run, with the harness's own tables, and the disk of its data: a small tmpfs where one can be mounted.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { answers } from '../src/db/answers.ts';
import { startPostgres, type EmbeddedPostgres } from '../src/dev/postgres.ts';

export type Disk = {
  /** Takes all space that is left. */
  fill(): void;
  free(): void;
};

export type Server = {
  readonly postgres: EmbeddedPostgres;
  readonly version: string;
  /** Straight to the server. */
  readonly db: pg.Pool;
  readonly disk: Disk | undefined;
  /** Waits until it answers, and starts it again if it has ended. */
  heal(): Promise<void>;
  end(): Promise<void>;
};

// As in the tests: a crash of Postgres alone loses nothing that the kernel holds.
const settings = { fsync: 'off', full_page_writes: 'off', max_connections: '300', max_wal_size: '64MB' };
const diskMb = 600;

const tables = `
  create schema chaos;
  create table chaos.orders (id uuid primary key, account text, seq int, tenant text, placed_at timestamptz default now());
  create table chaos.effects (work text, attempt int, pid int);
  create table chaos.sequence (id bigint generated always as identity, account text, seq int);
  create table chaos.ticks (job text, scheduled_at timestamptz);
  create table chaos.waves (job text primary key, from_at timestamptz)`;

/** @param folder of this run; the data is in it where the server's user may enter it, else in the temporary directory */
export async function startServer(folder: string, wantsDisk: boolean): Promise<Server> {
  const mount = wantsDisk ? mountAt(join(folder, 'disk')) : undefined;
  const dir = mount === undefined ? {} : { dir: join(mount, 'data') };
  const postgres = await startPostgres({ persistent: false, settings, ...dir }).catch((error: unknown) => {
    if (mount !== undefined) unmount(mount);
    throw error;
  });
  const db = new pg.Pool({
    connectionString: postgres.url(),
    max: 12,
    connectionTimeoutMillis: 5_000,
    query_timeout: 15_000,
  });
  db.on('error', () => undefined); // faults end its connections, too
  await db.query(tables);
  const version = (await db.query<{ v: string }>(`select current_setting('server_version') as v`)).rows[0]!.v;
  return {
    postgres,
    version,
    db,
    disk: mount === undefined ? undefined : diskAt(mount),
    heal: () => heal(postgres),
    async end() {
      await db.end().catch(() => undefined);
      await postgres.end();
      if (mount !== undefined) unmount(mount);
    },
  };
}

async function heal(postgres: EmbeddedPostgres): Promise<void> {
  for (let i = 0; i < 40; i++) {
    if (await answers(postgres.url())) return;
    await sleep(100);
  }
  await postgres.stop('immediate');
  await postgres.start();
}

function diskAt(mount: string): Disk {
  const filler = join(mount, 'filler');
  return {
    fill() {
      const file = openSync(filler, 'a');
      try {
        for (let block = Buffer.alloc(1 << 20); block.length >= 512;)
          try {
            writeSync(file, block);
          } catch {
            block = block.subarray(0, block.length >> 1);
          }
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler, { force: true }),
  };
}

/** Why no tmpfs can be mounted here; undefined: it can. */
export function diskProblem(): string | undefined {
  if (process.platform !== 'linux') return 'a tmpfs is mounted on Linux alone';
  if (process.getuid?.() !== 0) return 'only root may mount a tmpfs';
  return undefined;
}

/** @returns undefined where it is refused */
function mountAt(path: string): string | undefined {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m,mode=0755`, 'waybill-chaos', path], {
      stdio: 'ignore',
    });
    return path;
  } catch {
    return undefined;
  }
}

function unmount(path: string): void {
  try {
    execFileSync('umount', ['-l', path], { stdio: 'ignore' });
  } catch {
    // it is not mounted any more
  }
}

/** Unmounts what runs left behind that were killed, and removes their folders. @param home where the folders of runs are, named by process ids */
export function removeLeftovers(home: string): void {
  for (const name of foldersIn(home)) {
    const pid = Number(/^run-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    const folder = join(home, name);
    if (isMounted(join(folder, 'disk'))) unmount(join(folder, 'disk'));
    rmSync(folder, { recursive: true, force: true });
  }
}

function foldersIn(home: string): string[] {
  try {
    return readdirSync(home);
  } catch {
    return []; // there was no run yet
  }
}

function isMounted(path: string): boolean {
  try {
    return readFileSync('/proc/mounts', 'utf8').includes(` ${path} `);
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
