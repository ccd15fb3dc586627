// Prepared statements: the session keeps the plan of a statement that runs often. This needs a client that talks to the server directly. Behind a
// pooler such as pgbouncer in transaction mode, the next transaction may run in a session without the prepared statement.

import { createHash } from 'node:crypto';
import type { Milliseconds } from '../ports.ts';
import { ownTypes } from './parsers.ts';

type Result = { readonly rows: unknown[] };

/** A connected client of pg. Pools, clients of pg-native and stand-ins do not count. */
export type PreparingClient = {
  /** The server process, as sent when the client connected (pg: `BackendKeyData`). */
  readonly processID: number;
  query(config: {
    readonly name?: string;
    readonly text: string;
    readonly values: unknown[];
    readonly types: typeof ownTypes;
  }): Promise<Result>;
  query(text: string, values?: unknown[]): Promise<Result>;
};

/**
 * With these settings a session makes one plan for a statement. That plan is right for a million rows even if it was made on an empty table, because
 * each step has one index. Only for sessions that run nothing but such statements.
 */
export const byIndexAlone = `set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off`;

/** Whether a client's session keeps plans; `undefined` after the first use, before the check. */
const keeping = new WeakMap<object, boolean | undefined>();

/** When each of these sessions last discarded its plans, in ms. */
const planned = new WeakMap<object, Milliseconds>();

/**
 * The text that begins a transaction, with `discard plans` every five seconds. A plan that was made while a table was small reads all of it, and the
 * session keeps that plan until the table is analysed. Sessions that run the application's statements have no settings that would forbid it.
 * @param now the process's time, in ms
 */
export function withFreshPlans(client: object, begin: string, now: Milliseconds): string {
  if (keeping.get(client) !== true) return begin;
  const since = planned.get(client);
  if (since !== undefined && now - since < 5_000) return begin;
  planned.set(client, now);
  return since === undefined ? begin : `${begin}; discard plans`;
}

export function isPreparing(source: object): source is PreparingClient {
  return 'processID' in source && typeof source.processID === 'number';
}

/**
 * Runs a statement that comes often. From the client's second call on, the session keeps the plan, where it can.
 * @param planning settings for the rest of that session
 */
export async function queryPrepared(
  client: PreparingClient,
  text: string,
  values: unknown[],
  planning?: string,
): Promise<Result> {
  const types = ownTypes;
  if (!(await keepsPlans(client, planning))) return client.query({ text, values, types });
  try {
    return await client.query({ name: nameOf(text), text, values, types });
  } catch (error) {
    if (isOutdated(error)) keeping.set(client, false);
    throw error;
  }
}

/** A connection that is used once is not checked: the check costs a round trip, and the plan saves only a part of one. */
async function keepsPlans(client: PreparingClient, planning: string | undefined): Promise<boolean> {
  const known = keeping.get(client);
  if (known !== undefined) return known;
  if (!keeping.has(client)) {
    keeping.set(client, undefined);
    return false;
  }
  const direct = await isServersOwn(client, (text) => client.query(text));
  if (direct && planning !== undefined) await client.query(planning);
  keeping.set(client, direct);
  return direct;
}

/**
 * Whether the client has a session of the server to itself. A pooler that shares sessions must send its clients a process id that it made up, because
 * it could not route a cancel otherwise.
 */
export async function isServersOwn(
  client: object,
  query: (text: string) => Promise<Result>,
): Promise<boolean> {
  if (!isPreparing(client)) return false;
  const { rows } = await query('select pg_catalog.pg_backend_pid() as pid');
  return Number((rows[0] as { pid: unknown }).pid) === client.processID; // the application's type parser may return any type
}

const names = new Map<string, string>();

/** The same text has the same name on every connection; another text has another name. */
export function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `waybill_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  names.set(text, name);
  return name;
}

/**
 * `invalid_sql_statement_name`: DISCARD ALL or DEALLOCATE was sent, without the client's knowledge. `feature_not_supported`: a migration changed the
 * columns that the statement returns.
 */
function isOutdated(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  if (error.code !== '26000' && error.code !== '0A000') return false;
  Object.assign(error, {
    hint: 'What this connection had prepared is gone (DISCARD ALL, DEALLOCATE) or outdated by a migration. From now on it prepares nothing: run the transaction again.',
  });
  return true;
}
