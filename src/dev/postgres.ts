// A real Postgres for development and tests. It needs no Docker and no root, and leaves no server behind.

import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { answers } from '../db/answers.ts';
import { findBinaries } from './binaries.ts';
import { freePort } from './free-port.ts';
import { filesOf, prepareData, SUPERUSER, type Data } from './postgres-data.ts';
import { dataFolder, serverUser } from './postgres-home.ts';
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
  /** The project's folder; default: the working directory. */
  readonly project?: string;
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

type Server = Data & { readonly log: string };

/** @throws with the end of the server's log when the server does not start */
export async function startPostgres(options: PostgresOptions = {}): Promise<EmbeddedPostgres> {
  const persistent = options.persistent ?? true;
  const server = serverOf(options, persistent);
  const { dir, log } = server;
  const watchdog = startWatchdog({ signal: 'INT', remove: persistent ? [] : [...filesOf(dir), log] });
  const password = await prepareData(server);
  const port = options.port ?? (await freePort());
  const url = (database = 'postgres'): string =>
    `postgres://${SUPERUSER}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const running = controls(server, () => launch(server, port, options.settings ?? {}, watchdog), url());
  await running.start();
  return {
    port,
    dir,
    url,
    ...running,
    async end() {
      await running.stop();
      await watchdog.release();
    },
  };
}

function serverOf(options: PostgresOptions, persistent: boolean): Server {
  const user = serverUser();
  const project = options.project ?? process.cwd();
  const name = persistent ? 'postgres' : `postgres-${randomBytes(4).toString('hex')}`;
  const dir = options.dir ?? dataFolder(name, user, project);
  const wanted = options.version ?? process.env['WAYBILL_TEST_POSTGRES'];
  return { binaries: findBinaries(user, { project, wanted }), user, dir, log: `${dir}.log` };
}

type Controls = Pick<EmbeddedPostgres, 'start' | 'stop' | 'restart' | 'kill'>;

function controls(server: Server, launched: () => ChildProcess, url: string): Controls {
  let running: ChildProcess | undefined;
  async function start(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const child = launched();
      running = child;
      const problem = await ready(child, server, url);
      child.unref();
      if (problem === undefined) return;
      // After a SIGKILL of the postmaster its backends need a moment to notice.
      if (!problem.includes('pre-existing shared memory block') || tries === 50)
        throw new Error(`${problem}\n${mend(server)}`);
      await sleep(100);
    }
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    const child = running;
    if (child === undefined || hasEnded(child)) return;
    child.ref();
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
  const stop = (mode: StopMode = 'fast'): Promise<void> => end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
  const restart = async (mode?: StopMode): Promise<void> => {
    await stop(mode);
    await start();
  };
  return { start, stop, restart, kill: () => end('SIGKILL') };
}

const mend = ({ dir, log }: Server): string =>
  `Its log is ${log}. If files of its data are missing or damaged, remove ${dir} to start afresh.`;

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

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
