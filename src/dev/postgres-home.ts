// Where a Postgres for development lives: its user, and the folder of its data. Postgres refuses to run as root, so root runs it as
// `postgres` or `nobody`, who must be able to enter that folder.

import { existsSync, mkdirSync, readFileSync, statSync, type Stats } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The user that the server runs as; undefined: the current user. */
export type ServerUser = { readonly uid: number; readonly gid: number } | undefined;

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

/** A folder for the server's data: in the project's `.waybill/` if the server's user may use that, else under the temporary directory. */
export function dataFolder(name: string, user: ServerUser, project = process.cwd()): string {
  const inside = join(project, '.waybill');
  if (canWalk(project, user) && makeFolder(inside) && isOurs(join(inside, name), user))
    return join(inside, name);
  return join(publicFolder(user, project), name);
}

/** One folder per project and user, in a temporary directory that the server's user may enter. */
export function publicFolder(user: ServerUser, project: string): string {
  const uid = process.getuid?.() ?? 0;
  const base = [tmpdir(), '/tmp', '/var/tmp'].find((dir) => existsSync(dir) && canWalk(dir, user));
  if (base === undefined)
    throw new Error(`the user that runs Postgres may enter neither ${tmpdir()} nor /tmp: set TMPDIR`);
  const folder = join(base, `waybill-${uid}-${hash(project)}`);
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
export function canWalk(path: string, user: ServerUser): boolean {
  if (user === undefined) return true;
  const above = dirname(path);
  return mayEnter(statSync(path), user) && (above === path || canWalk(above, user));
}

function mayEnter(folder: Stats, user: { uid: number; gid: number }): boolean {
  if (folder.uid === user.uid) return (folder.mode & 0o100) !== 0;
  if (folder.gid === user.gid) return (folder.mode & 0o010) !== 0;
  return (folder.mode & 0o001) !== 0;
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
