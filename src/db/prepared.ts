// Prepared statements: of a statement that comes again and again, the session keeps the plan. Only where the client talks to the server
// itself: behind a pooler such as pgbouncer in transaction mode the next transaction may have a session that knows nothing of it.

import { createHash } from 'node:crypto';
import { ownTypes } from './parsers.ts';

type Result = { readonly rows: unknown[] };

/** A client of pg that has connected. Pools, clients of pg-native and stand-ins are none. */
export type PreparingClient = {
  /** Of the session, as the server told it when the client connected (pg: `BackendKeyData`). */
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
 * Under these settings a session makes one plan of a statement, and that is right for a million rows, also when it was made while the table
 * was empty: where there is one index for each step, there is nothing to choose. For sessions that run nothing but such statements.
 */
export const byIndexAlone = `set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off`;

/** Whether a client's session keeps plans; `undefined` until that is worth a question. */
const keeping = new WeakMap<PreparingClient, boolean | undefined>();

export function isPreparing(source: object): source is PreparingClient {
  return 'processID' in source && typeof source.processID === 'number';
}

/**
 * Runs a statement that comes again and again: from its second time on with a plan that the session keeps, where it can.
 * @param planning settings of that session, for as long as it lasts
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

/** A connection that is used once is asked nothing: the question costs a round trip, the plan saves a part of one. */
async function keepsPlans(client: PreparingClient, planning: string | undefined): Promise<boolean> {
  const known = keeping.get(client);
  if (known !== undefined) return known;
  if (!keeping.has(client)) {
    keeping.set(client, undefined);
    return false;
  }
  const direct = await isServersOwn(client);
  if (direct && planning !== undefined) await client.query(planning);
  keeping.set(client, direct);
  return direct;
}

/**
 * Whether the client talks to one session of the server, and no other does. A pooler that shares sessions must greet its clients with a process
 * id of its own making: it could not route a cancel otherwise.
 */
export async function isServersOwn(client: Pick<PreparingClient, 'query'>): Promise<boolean> {
  if (!isPreparing(client)) return false;
  const { rows } = await client.query('select pg_catalog.pg_backend_pid() as pid');
  return Number((rows[0] as { pid: unknown }).pid) === client.processID; // whatever the application's parser makes of it
}

const names = new Map<string, string>();

/** A statement has the same name on every connection, and another text another name. */
export function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = `waybill_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
  names.set(text, name);
  return name;
}

/**
 * `invalid_sql_statement_name`: somebody sent DISCARD ALL or DEALLOCATE, and the client knows nothing of it. `feature_not_supported`: a
 * migration has changed what the statement answers with.
 */
function isOutdated(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  if (error.code !== '26000' && error.code !== '0A000') return false;
  Object.assign(error, {
    hint: 'What this connection had prepared is gone (DISCARD ALL, DEALLOCATE) or outdated by a migration. From now on it prepares nothing: run the transaction again.',
  });
  return true;
}
