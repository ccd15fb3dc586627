// The field: one embedded Postgres with a database for each contender, and a Redis where redis-server is installed.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { freePort } from '../src/dev/free-port.ts';
import { startPostgres } from '../src/dev/postgres.ts';
import { startChild } from './child.ts';
import type { Contender, Work } from './contender.ts';
import { peer } from './peer.ts';
import { tell } from './progress.ts';
import { checkOut } from './revision.ts';
import { waybill, type Ours } from './waybill.ts';
import type { Role } from './work.ts';

export type Field = {
  readonly ours: Ours;
  /** The earlier commit, if one was requested. */
  readonly revision: Contender | undefined;
  readonly peers: readonly Contender[];
  /** Why a requested peer is not measured: it is not installed, or it failed. With work of users, both are errors. */
  readonly leftOut: Readonly<Record<string, string>>;
  /** Returns the measurement. A peer that fails is left out from then on, and undefined is returned; a failure of ours is thrown. */
  attempt<T>(contender: Contender, measure: () => Promise<T>): Promise<T | undefined>;
  readonly postmaster: number;
  /** Connection string of a contender's database. */
  url(name: string): string;
  end(): Promise<void>;
};

export type FieldOptions = {
  /** An earlier commit of ours to measure too. */
  readonly against?: string | undefined;
  /** Peers to measure; default: all that are installed. */
  readonly peers?: readonly PeerName[];
  readonly roles?: readonly Role[];
  /** Default `noop`. */
  readonly work?: Work;
  readonly settings?: Readonly<Record<string, string>>;
};

type Spec = {
  readonly package: string;
  /** Statements that empty it. */
  readonly clear: readonly string[];
  readonly atMost?: number;
  /** Its process can do work of users, not only `noop`. */
  readonly works?: true;
};

/** For a peer that settles some 2,000 a second: ten seconds of it tell as much as half a minute. */
const few = 20_000;

const specs = {
  'pg-boss': { package: 'pg-boss', clear: ['truncate pgboss.job'], works: true },
  'graphile-worker': {
    package: 'graphile-worker',
    clear: ['truncate graphile_worker._private_jobs'],
    works: true,
  },
  bullmq: { package: 'bullmq', clear: [] },
  'bullmq-postgres': { package: 'bullmq', clear: ['truncate bullmq.job cascade'], atMost: few },
  dbos: { package: '@dbos-inc/dbos-sdk', clear: ['truncate dbos.workflow_status cascade'], atMost: few },
} satisfies Readonly<Record<string, Spec>>;

export type PeerName = keyof typeof specs;
export const peerNames = Object.keys(specs) as readonly PeerName[];

const canDo = (name: PeerName, work: Work): boolean => work === 'noop' || 'works' in specs[name];

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

export async function openField({
  peers: wanted,
  roles,
  against,
  settings = {},
  work = 'noop',
}: FieldOptions = {}): Promise<Field> {
  const databaseOf = (name: string): string => `bench_${name.replaceAll('-', '_')}`;
  const url = (name: string): string => server.url(databaseOf(name));
  const leftOut: Record<string, string> = {};
  function leaveOut(name: string, why: string): void {
    if (work !== 'noop') throw new Error(`${name} cannot be measured: ${why}`);
    leftOut[name] = why;
    tell(`${name} is left out: ${why}`);
  }
  const names = (wanted ?? peerNames.filter((name) => canDo(name, work))).filter((name) => {
    const missing = whatIsMissing(name, work);
    if (missing !== undefined) leaveOut(name, missing);
    return missing === undefined;
  });
  const checkedOut = against === undefined ? undefined : await checkOut(against, work);
  const server = await startPostgres({ persistent: false, settings });
  const admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
  for (const name of ['waybill', ...(checkedOut ? ['revision'] : []), ...names])
    await admin.query(`create database ${databaseOf(name)}`);
  await admin.end();
  const peers: Contender[] = [];
  const ends: (() => Promise<void>)[] = [];
  for (const name of names) {
    const env: Record<string, string> = {};
    if (name === 'bullmq') {
      const port = await freePort();
      const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
      const redis = startChild(args, {}, 'redis-server');
      await redis.says('Ready to accept connections');
      ends.push(() => redis.end());
      env['REDIS_PORT'] = String(port);
    }
    const { clear, atMost }: Spec = specs[name];
    peers.push(peer({ name, url: url(name), env, clear, atMost, work }));
  }
  const ours = await waybill(url('waybill'), { work, roles });
  const revision = await checkedOut?.open(url('revision'));
  return {
    ours,
    revision,
    peers,
    url,
    leftOut,
    async attempt(contender, measure) {
      if (contender.name in leftOut) return undefined;
      try {
        return await measure();
      } catch (error) {
        if (contender === ours || contender === revision) throw error;
        leaveOut(contender.name, String(error).trim());
        await contender.end(); // nothing of it runs beside the next measurement
        return undefined;
      }
    },
    postmaster: Number(readFileSync(`${server.dir}/postmaster.pid`, 'utf8').split('\n')[0]),
    async end() {
      for (const contender of [ours, ...(revision ? [revision] : []), ...peers]) await contender.end();
      checkedOut?.remove();
      for (const end of ends) await end();
      await server.end();
    },
  };
}

function whatIsMissing(name: PeerName, work: Work): string | undefined {
  const { package: its } = specs[name];
  if (!canDo(name, work)) return `it has no benchmark of ${work}`;
  if (!isInstalled(its)) return `${its} is not installed`;
  return name === 'bullmq' && !hasRedis() ? 'redis-server is not installed' : undefined;
}
