// The data folder of a Postgres for development: made once, with a password of its own, and used by one server at a time.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Binaries } from './binaries.ts';
import type { ServerUser } from './postgres-home.ts';

// Not "waybill": the default search_path begins with the schema of the role's name, so unqualified tables would land in ours.
export const SUPERUSER = 'postgres';

export type Data = {
  readonly binaries: Binaries;
  readonly user: ServerUser;
  /** Its absolute path. */
  readonly dir: string;
};

const passwordFile = (dir: string): string => `${dir}.password`;
/** Where initdb works until it is done. */
const halfDone = (dir: string): string => `${dir}.new`;
/** Every file and folder that belongs to the data. */
export const filesOf = (dir: string): string[] => [dir, halfDone(dir), passwordFile(dir)];

/** Creates the data directory if it is missing; returns the superuser's password. */
export async function prepareData(server: Data): Promise<string> {
  const { dir, binaries } = server;
  if (!existsSync(dir)) return initialize(server);
  const version = existsSync(`${dir}/PG_VERSION`) ? readFileSync(`${dir}/PG_VERSION`, 'utf8').trim() : 'none';
  if (version !== binaries.version || !existsSync(passwordFile(dir)))
    throw new Error(
      `${dir} is no data directory of ours for Postgres ${binaries.version} (found: ${version}): remove it to start afresh`,
    );
  await previousOwnerGone(dir);
  return readFileSync(passwordFile(dir), 'utf8').trim();
}

// First into a folder beside it: an interrupted initdb leaves nothing that looks finished.
async function initialize(server: Data): Promise<string> {
  const half = halfDone(server.dir);
  const password = randomBytes(18).toString('base64url');
  const secret = passwordFile(server.dir);
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { recursive: true, mode: 0o700 });
  rmSync(secret, { force: true });
  writeFileSync(secret, `${password}\n`, { mode: 0o600 });
  if (server.user) for (const path of [half, secret]) chownSync(path, server.user.uid, server.user.gid);
  // Every machine has the locale `C`. No sync: data lost in a crash of the machine is made again.
  const flags = [
    '-D',
    half,
    '-U',
    SUPERUSER,
    `--pwfile=${secret}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ];
  try {
    await promisify(execFile)(server.binaries.initdb, flags, { ...server.user, cwd: '/' });
  } catch (cause) {
    rmSync(half, { recursive: true, force: true });
    throw new Error(`initdb failed: ${(cause as { stderr?: string }).stderr || (cause as Error).message}`, {
      cause,
    });
  }
  renameSync(half, server.dir);
  return password;
}

/** Waits six seconds for a server that is being stopped. A server that stays is in use. */
async function previousOwnerGone(dir: string): Promise<void> {
  for (let waited = 0; waited < 6_000; waited += 50) {
    const pid = postmasterPid(dir);
    if (pid === undefined || !isPostmasterOf(pid, dir)) return;
    await sleep(50);
  }
  throw new Error(
    `a Postgres (process ${postmasterPid(dir)}) runs on ${dir} already: end the demo that uses it`,
  );
}

function postmasterPid(dir: string): number | undefined {
  if (!existsSync(`${dir}/postmaster.pid`)) return undefined;
  const pid = Number.parseInt(readFileSync(`${dir}/postmaster.pid`, 'utf8'), 10);
  return pid > 1 ? pid : undefined;
}

// After a crash, the number in the file may belong to another process.
function isPostmasterOf(pid: number, dir: string): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir);
  } catch {
    return false;
  }
}
