// A real Postgres from npm, for development and tests. It needs no Docker and no root, and leaves no server behind.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from './free-port.ts';
import { dataFolder, findBinaries, serverUser, type Binaries, type ServerUser } from './postgres-home.ts';
import { startWatchdog, type Watchdog } from './watchdog.ts';

export type StopMode = 'fast' | 'immediate';

export type EmbeddedPostgres = {
  readonly port: number;
  readonly dir: string;
  /** Connection string of a database of this server; default `postgres`. */
  url(database?: string): string;
  /** Starts it again after `stop` or `kill`: same data, same port. */
  start(): Promise<void>;
  /** `fast` ends the sessions and writes a checkpoint; `immediate` is a crash, and the next start recovers. */
  stop(mode?: StopMode): Promise<void>;
  restart(mode?: StopMode): Promise<void>;
  /** Sends SIGKILL to the postmaster. */
  kill(): Promise<void>;
  /** Stops it for good, and removes the data unless it is persistent. */
  end(): Promise<void>;
};

export type PostgresOptions = {
  /**
   * Data directory; default: one under the project's `.waybill/`, or under the temporary directory where the server's user may not enter that.
   */
  readonly dir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Server settings beside the built-in ones. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A major version, or the folder of its binaries. Default: `WAYBILL_TEST_POSTGRES`, else the version of the npm package. */
  readonly version?: string | undefined;
  /** Keep the data after `end`, and use it again next time. Default true. */
  readonly persistent?: boolean;
};

type Server = {
  readonly binaries: Binaries;
  readonly user: ServerUser;
  readonly dir: string;
  readonly log: string;
};

// Not "waybill": the default search_path begins with the schema of the role's name, so unqualified tables would land in ours.
const SUPERUSER = 'postgres';

/** @throws with the end of the server's log when the server does not start */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const persistent = options.persistent ?? true;
  const user = serverUser();
  const dir =
    options.dir ?? dataFolder(persistent ? 'postgres' : `postgres-${randomBytes(4).toString('hex')}`, user);
  const server: Server = { binaries: findBinaries(user, options.version), user, dir, log: `${dir}.log` };
  const files = [dir, halfDone(dir), server.log, passwordFile(dir)];
  const watchdog = startWatchdog({ signal: 'INT', remove: persistent ? [] : files });
  const password = await prepareData(server);
  const port = options.port ?? (await freePort());
  const running: { child?: ChildProcess } = {};
  const url = (database = 'postgres'): string =>
    `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;

  async function start(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const child = launch(server, port, options.settings ?? {}, watchdog);
      running.child = child;
      const problem = await ready(child, server, url());
      child.unref();
      if (problem === undefined) return;
      // After a SIGKILL of the postmaster its backends need a moment to notice.
      if (!problem.includes('pre-existing shared memory block') || tries === 50) throw new Error(problem);
      await sleep(100);
    }
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const child = running.child;
    if (child === undefined || hasEnded(child)) return;
    child.ref();
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
  const stop = (mode: StopMode = 'fast'): Promise<void> => end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
  await start();
  return {
    port,
    dir,
    url,
    start,
    stop,
    async restart(mode) {
      await stop(mode);
      await start();
    },
    kill: () => end('SIGKILL'),
    async end() {
      await stop();
      await watchdog.release();
    },
  };
}

const passwordFile = (dir: string): string => `${dir}.password`;
/** Where initdb works until it is done. */
const halfDone = (dir: string): string => `${dir}.new`;
const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

/** Creates the data directory if it is missing; returns the superuser's password. */
async function prepareData(server: Server): Promise<string> {
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
async function initialize(server: Server): Promise<string> {
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

function launch(
  server: Server,
  port: number,
  settings: Readonly<Record<string, string>>,
  watchdog: Watchdog,
): ChildProcess {
  const all = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '', // their paths may be at most 107 bytes long, and they are not needed
    max_connections: '200',
    ...settings,
  };
  const log = openSync(server.log, 'w', 0o644);
  // A session of its own: Ctrl-C goes to a whole process group, and the database must end last.
  const child = spawn(
    server.binaries.postgres,
    ['-D', server.dir, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      ...server.user,
      cwd: '/',
      stdio: ['ignore', log, log],
      detached: true,
    },
  );
  closeSync(log);
  const { pid } = child;
  if (pid !== undefined) {
    watchdog.watch(pid);
    child.once('exit', () => watchdog.forget(pid));
  }
  return child;
}

/** Waits until the server answers; returns the problem when it does not. */
async function ready(child: ChildProcess, server: Server, url: string): Promise<string | undefined> {
  const failure: { error?: Error } = {};
  child.once('error', (error) => (failure.error = error));
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline && failure.error === undefined && !hasEnded(child)) {
    if (await answers(url)) return undefined;
    await sleep(20);
  }
  const reason = failure.error?.message ?? (hasEnded(child) ? 'it ended at once' : 'no answer within 30 s');
  if (!hasEnded(child)) child.kill('SIGQUIT');
  return `the embedded Postgres did not start: ${reason}\n${readFileSync(server.log, 'utf8').slice(-2000)}`;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined); // a server that is still recovering hangs up; the answer is "not yet"
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined); // fails if it never connected, which is fine
  }
}
