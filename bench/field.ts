// The field: one embedded Postgres with a database for each contender, and a Redis where redis-server is installed.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { freePort } from '../dev/free-port.ts';
import { startPostgres } from '../dev/postgres.ts';
import { startChild } from './child.ts';
import type { Contender } from './contender.ts';
import { peer } from './peer.ts';
import { waybill, type Ours, type Role } from './waybill.ts';

export type Field = {
  readonly ours: Ours;
  readonly peers: readonly Contender[];
  readonly postmaster: number;
  /** Connection string of a contender's database. */
  url(name: string): string;
  end(): Promise<void>;
};

export type FieldOptions = {
  /** Peers to measure; default: all that are installed. */
  readonly peers?: readonly string[];
  readonly roles?: readonly Role[];
  readonly settings?: Readonly<Record<string, string>>;
};

const clear = {
  'pg-boss': [`delete from pgboss.job where name = 'noop'`, 'vacuum pgboss.job_common'],
  'graphile-worker': ['truncate graphile_worker._private_jobs'],
  bullmq: [],
};

const isInstalled = (name: string): boolean =>
  ['.', '..'].some((folder) => existsSync(new URL(`${folder}/node_modules/${name}`, import.meta.url)));

function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Peers that are not installed are left out, and standard error says so. */
export async function openField({ peers: wanted, roles, settings = {} }: FieldOptions = {}): Promise<Field> {
  const server = await startPostgres({ persistent: false, settings });
  const databaseOf = (name: string): string => `bench_${name.replaceAll('-', '_')}`;
  const url = (name: string): string => server.url(databaseOf(name));
  const names = (wanted ?? Object.keys(clear)).filter((name) => isInstalled(name) || miss(name));
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  for (const name of ['waybill', ...names]) await admin.query(`create database ${databaseOf(name)}`);
  await admin.end();
  const peers: Contender[] = [];
  const ends: (() => Promise<void>)[] = [];
  for (const name of names) {
    const env: Record<string, string> = {};
    if (name === 'bullmq') {
      if (!hasRedis() && miss('redis-server')) continue;
      const port = await freePort();
      const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
      const redis = startChild(args, {}, 'redis-server');
      await redis.says('Ready to accept connections');
      ends.push(() => redis.end());
      env['REDIS_PORT'] = String(port);
    }
    peers.push(peer({ name, url: url(name), env, clear: clear[name as keyof typeof clear] }));
  }
  const ours = await waybill(url('waybill'), roles);
  return {
    ours,
    peers,
    url,
    postmaster: Number(readFileSync(`${server.dir}/postmaster.pid`, 'utf8').split('\n')[0]),
    async end() {
      for (const contender of [ours, ...peers]) await contender.end();
      for (const end of ends) await end();
      await server.end();
    },
  };
}

/** False, after saying so. */
function miss(name: string): boolean {
  console.error(`${name} is not installed: it is left out`);
  return name === 'redis-server';
}
