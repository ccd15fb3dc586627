// What the processes of a fleet may ask of a server's connections. Several databases may be on one server, where the connections are shared.

import { readAllowance, sizesOf, totalOf } from '../config/connections.ts';
import type { Config } from '../config/config.ts';
import type { Executor } from '../db/executor.ts';
import type { ProcessSeen } from '../process/heartbeat.ts';
import { warning, type Finding } from '../scaffold/finding.ts';

export type ConnectionNeed = {
  /** Of WAYBILL_DATABASES; null: the only one. */
  readonly database: string | null;
  /** The same text for databases of one server. */
  readonly server: string;
  readonly allowed: number;
  /** Each process with the connections that it may open to this database. */
  readonly processes: readonly { readonly role: string; readonly total: number }[];
};

/** The processes of our Procfile, assumed when none runs yet. */
const usualProcesses = ['web', 'relay', 'email', 'jobs', 'scheduler'];

/** Two servers do not start in the same microsecond; an address may be that of a pooler. */
export const serverSql = `select extract(epoch from pg_postmaster_start_time())::text as server`;

export async function readNeed(
  db: Executor,
  config: Config,
  running: readonly Pick<ProcessSeen, 'role'>[],
): Promise<ConnectionNeed> {
  const allowed = await readAllowance(db);
  const { server } = (await db.executeSql<{ server: string }>(serverSql)).rows[0]!;
  const roles = running.length > 0 ? running.map(({ role }) => role) : usualProcesses;
  const processes = roles.map((role) => ({ role, total: totalOf(sizesOf(role, { ...config, allowed })) }));
  return { database: config.database, server, allowed, processes };
}

/** One for each server whose connections do not suffice. */
export function connectionFindings(needs: readonly ConnectionNeed[]): Finding[] {
  return [...Map.groupBy(needs, ({ server }) => server).values()].flatMap(findingOf);
}

function findingOf(onServer: readonly ConnectionNeed[]): Finding[] {
  const each = onServer.flatMap(({ processes }) => processes);
  const all = each.reduce((sum, { total }) => sum + total, 0);
  const allowed = Math.min(...onServer.map((need) => need.allowed));
  if (all <= allowed) return [];
  const several = onServer.length > 1;
  const who = several
    ? `to ${onServer.map(({ database }) => database).join(' and ')}, which are on one server, the processes may open`
    : `${each.length} processes may open`;
  const message = `${who} ${all} connections in all (${listOf(onServer)}); the ${several ? 'server' : 'database'} has ${allowed} for them. A process that is refused one shares out what it has, so work slows down`;
  const fix = 'fewer processes, a lower WAYBILL_POOL_MAX, PgBouncer, or a higher max_connections';
  return [warning('connections_scarce', message, { fix })];
}

function listOf(onServer: readonly ConnectionNeed[]): string {
  return onServer
    .map(({ database, processes }) => {
      const roles = [...Map.groupBy(processes, ({ role }) => role)];
      const list = roles.map(([role, its]) => `${its.length} ${role} with up to ${its[0]!.total}`).join(', ');
      return onServer.length > 1 ? `${database}: ${list}` : list;
    })
    .join('; ');
}
