// Two nodes of Patroni with a synchronous standby, an etcd that they agree through, and the address of whichever is the primary, as a load balancer
// gives it: by Patroni's own health check (patroni.readthedocs.io, REST API). All are Debian's packages, run as the user postgres.

import { spawn, type ChildProcess } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { freePort } from '../../src/dev/free-port.ts';
import { startWatchdog } from '../../src/dev/watchdog.ts';
import { isAlive } from './alive.ts';
import { hasStandby, postgresUser } from './standby.ts';
import { startSwitch, type Switch } from './switch.ts';
import { until } from './wait.ts';

export const hasPatroni = hasStandby && existsSync('/usr/bin/patroni') && existsSync('/usr/bin/etcd');

type Node = { readonly name: string; readonly rest: number; readonly port: number; readonly data: string };

export type Cluster = {
  /** Leads to the primary. */
  readonly url: string;
  /** The name of the node that is primary; undefined: none. */
  primary(): Promise<string | undefined>;
  /** Ends the primary's Postgres at once. Its Patroni makes a standby of it when another node is the primary. @returns its name */
  killPrimary(): Promise<string>;
  /** Whether a commit of the primary waits for a standby. */
  hasStandby(): Promise<boolean>;
  end(): Promise<void>;
};

/** JSON is YAML. Patroni's documentation names the keys; times in seconds, the lowest that it takes. */
function configuration(node: Node, dir: string, etcd: number): string {
  const postgres = { username: 'postgres', password: 'of-the-test' };
  return JSON.stringify({
    scope: 'waybill',
    name: node.name,
    restapi: { listen: `127.0.0.1:${node.rest}`, connect_address: `127.0.0.1:${node.rest}` },
    etcd3: { host: `127.0.0.1:${etcd}` },
    bootstrap: {
      dcs: {
        ttl: 20,
        loop_wait: 1,
        retry_timeout: 3,
        synchronous_mode: true,
        master_start_timeout: 0,
        primary_start_timeout: 0,
      }, // of Patroni 3 and 4
      initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }],
      pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'],
    },
    postgresql: {
      listen: `127.0.0.1:${node.port}`,
      connect_address: `127.0.0.1:${node.port}`,
      data_dir: node.data,
      pgpass: join(dir, `${node.name}.pgpass`),
      bin_dir: '/usr/lib/postgresql/15/bin',
      authentication: { superuser: postgres, replication: postgres },
      parameters: { unix_socket_directories: dir, fsync: 'off' },
    },
  });
}

async function isPrimary({ rest }: Node): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${rest}/primary`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

function postmaster(data: string): number | undefined {
  const file = join(data, 'postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

/** As a load balancer does: asks every 200 ms, and cuts the connections to a node that is the primary no longer. */
async function follow(
  leader: () => Promise<Node | undefined>,
  address: Pick<Switch, 'lead'>,
  signal: AbortSignal,
): Promise<void> {
  let last: string | undefined;
  while (!signal.aborted) {
    const node = await leader();
    if (node && node.name !== last) {
      address.lead(node.port, 'cut');
      last = node.name;
    }
    await setTimeout(200);
  }
}

export async function startPatroni(): Promise<Cluster> {
  const dir = mkdtempSync(join(tmpdir(), 'patroni-'));
  const { uid, gid } = postgresUser();
  chownSync(dir, uid, gid);
  const watchdog = startWatchdog({ signal: 'TERM', remove: [dir] }); // Patroni ends its Postgres
  const children: ChildProcess[] = [];
  const start = (name: string, command: string, args: readonly string[]): void => {
    const log = openSync(join(dir, `${name}.log`), 'a');
    const env = { PATH: process.env['PATH'], HOME: dir };
    const child = spawn(command, args, { uid, gid, cwd: dir, env, stdio: ['ignore', log, log] });
    watchdog.watch(child.pid!);
    children.push(child);
  };
  const etcd = await freePort();
  start('etcd', '/usr/bin/etcd', etcdArguments(join(dir, 'etcd'), etcd, await freePort()));
  const nodes = await Promise.all(['one', 'two'].map((name) => nodeOf(name, dir)));
  for (const node of nodes) {
    mkdirSync(node.data, { mode: 0o700 });
    chownSync(node.data, uid, gid);
    const file = join(dir, `${node.name}.yml`);
    writeFileSync(file, configuration(node, dir, etcd));
    start(node.name, '/usr/bin/patroni', [file]);
  }
  async function end(): Promise<void> {
    await Promise.all(children.map(killed));
    for (const { pid } of children) watchdog.forget(pid!);
    for (const { data } of nodes) await killPostgres(data);
    await watchdog.release();
    rmSync(dir, { recursive: true, force: true });
  }
  try {
    return await clusterOf(nodes, end);
  } catch (error) {
    await end();
    throw error;
  }
}

async function nodeOf(name: string, dir: string): Promise<Node> {
  return { name, rest: await freePort(), port: await freePort(), data: join(dir, name) };
}

function etcdArguments(data: string, port: number, peerPort: number): string[] {
  const [clients, peers] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  const named = {
    'data-dir': data,
    'listen-client-urls': clients,
    'advertise-client-urls': clients,
    'listen-peer-urls': peers,
    'initial-advertise-peer-urls': peers,
    'initial-cluster': `default=${peers}`,
  };
  return Object.entries(named).flatMap(([name, value]) => [`--${name}`, value]);
}

async function clusterOf(nodes: readonly Node[], end: () => Promise<void>): Promise<Cluster> {
  const leader = async (): Promise<Node | undefined> => {
    for (const node of nodes) if (await isPrimary(node)) return node;
    return undefined;
  };
  const hasSync = async (): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${(await leader())?.rest}/cluster`);
    const { members } = (await answer.json()) as { members: { role: string }[] };
    return members.some(({ role }) => role === 'sync_standby');
  };
  await until(hasSync, { timeoutMs: 90_000, what: 'a synchronous standby' });
  const address = await startSwitch((await leader())!.port);
  const stopped = new AbortController();
  const following = follow(leader, address, stopped.signal);
  return {
    url: `postgres://postgres@127.0.0.1:${address.port}/postgres`,
    primary: async () => (await leader())?.name,
    async killPrimary() {
      const node = (await leader())!;
      process.kill(postmaster(node.data)!, 'SIGKILL');
      return node.name;
    },
    hasStandby: hasSync,
    async end() {
      stopped.abort();
      await following;
      await address.end();
      await end();
    },
  };
}

async function killPostgres(data: string): Promise<void> {
  const pid = postmaster(data);
  if (pid === undefined || !isAlive(pid)) return;
  process.kill(pid, 'SIGQUIT');
  await until(() => !isAlive(pid), { what: 'the end of a Postgres' });
}
