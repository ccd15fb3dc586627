// pg pools with every timeout set. A half-open connection without `query_timeout` wedges a pool without one error (FACTS 5).

import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { commitWith } from './commit.ts';
import { isFromDatabase, markError, marking, toExecutor, type Executor } from './executor.ts';
import { isPreparing, queryPrepared } from './prepared.ts';
import { isReadOnly, isUnreachable } from './diagnosis.ts';
import {
  inTransaction,
  type Commit,
  type PgPool,
  type PgPoolClient,
  type Rider,
  type Transaction,
  type Transactions,
} from './transaction.ts';

export type Database = Executor &
  Transactions & {
    /** A connection outside the pool, for LISTEN. The caller ends it, and looks after it: its queries have no timeout of pg's. */
    connect(): Promise<pg.Client>;
    end(): Promise<void>;
  };

export type DatabaseOptions = {
  readonly url: string;
  /** The variable that the URL came from, for messages. Default `DATABASE_URL`. */
  readonly setting?: string;
  /** Connections at most. */
  readonly max: number;
  readonly applicationName: string;
  /** Longest that one statement may take. */
  readonly statementTimeoutMs?: Milliseconds;
  /** Longest wait for a connection, a free one of the pool or a new one. */
  readonly connectMs?: Milliseconds;
  /** Settings of sessions that keep plans of what is asked often (prepared.ts). Without them, none does. */
  readonly planning?: string;
  /** Hears of connections that break while nobody uses them. */
  readonly onIdleError: (error: Error) => void;
};

/** Opens nothing yet; the first statement does. */
export function openDatabase(options: DatabaseOptions): Database {
  const settings = connectionSettings(options);
  const limits = serverLimits(options);
  let guarded = true; // the server itself holds every statement to the limits
  let pool = openPool({ ...settings, ...limits }, options);
  const { setting = 'DATABASE_URL' } = options;

  /** Ends the pool's connections, those in use when they are given back, and opens others from now on. */
  function renew(used: pg.Pool): void {
    if (used !== pool) return;
    pool = openPool(guarded ? { ...settings, ...limits } : settings, options);
    used.end().catch(options.onIdleError);
  }

  /** A pooler such as pgbouncer refuses limits at connect; then transactions carry them, and single statements have pg's own timeout. */
  async function onPool<T>(use: (current: pg.Pool) => Promise<T>): Promise<T> {
    const used = pool;
    try {
      return await marking(use(used), setting);
    } catch (error) {
      if (!refusesLimits(error)) throw renewing(used, error);
      if (used === pool) guarded = false;
      renew(used);
      return marking(use(pool), setting);
    }
  }

  /** A read-only server: after a failover the same address leads elsewhere, but only for new connections. */
  function renewing(used: pg.Pool, error: unknown): unknown {
    if (isReadOnly(error)) renew(used);
    return error;
  }

  const plain = toExecutor({ query: (text, values) => onPool((current) => current.query(text, values)) });
  const { planning } = options;
  const planned: Executor = {
    isPlanned: true,
    async executeSql<Row>(text: string, values: readonly unknown[] = [], often = false) {
      if (!often) return plain.executeSql<Row>(text, values);
      const used = pool;
      const client = await onPool((current) => current.connect());
      const ask = (own: PgPoolClient): Promise<{ rows: unknown[] }> =>
        marking(
          isPreparing(own)
            ? queryPrepared(own, text, values as unknown[], planning)
            : own.query(text, values as unknown[]),
          setting,
        );
      const { rows } = await lent(client, ask).catch((error: unknown) => {
        throw renewing(used, error);
      });
      return { rows: rows as Row[] };
    },
  };

  return {
    ...(planning === undefined ? plain : planned),
    async transaction(body, begin = 'begin', rider) {
      const used = pool;
      const client = await onPool((current) => current.connect());
      const opening = guarded ? begin : `${begin}; ${localLimits(limits)}`;
      try {
        return await onClient(
          client,
          body,
          opening,
          rider && ((result) => commitBeside(client, rider, result)),
        );
      } catch (error) {
        throw renewing(used, isFromDatabase(error) ? markError(error, setting) : error);
      }
    },
    async connect() {
      const untimed = { ...settings, query_timeout: 0 }; // a timer for each question is a fiftieth of a millisecond at rest
      const opened = connected({ ...untimed, ...limits }).catch((error: unknown) => {
        if (!refusesLimits(error)) throw error;
        return connected(untimed);
      });
      return marking(opened, setting);
    },
    end: () => pool.end(),
  };
}

export function transactionsOf(pool: PgPool): Transactions {
  return {
    transaction: async (body, begin = 'begin') => onClient(await marking(pool.connect()), body, begin),
  };
}

async function onClient<T>(
  client: PgPoolClient,
  body: (tx: Transaction) => Promise<T>,
  begin: string,
  commit?: Commit<T>,
): Promise<T> {
  return lent(client, () => inTransaction(client, body, begin, commit));
}

/** Gives the client back to its pool afterwards. */
async function lent<T>(client: PgPoolClient, use: (client: PgPoolClient) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError); // pg takes its own listener away while a client is out of the pool
  try {
    return await use(client);
  } catch (error) {
    // Whatever state the connection is in after a failure, the next user gets a clean one.
    if (isUnreachable(error) || isReadOnly(error)) broken ??= error as Error;
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function commitBeside<T>(
  client: pg.ClientBase,
  rider: Rider<T>,
  result: T,
): Promise<string | undefined> {
  const sql = rider.sql(result);
  if (sql === undefined) return (await marking(client.query('commit'))).command;
  const { command, both } = await commitWith(client, sql);
  if (both) rider.sent();
  return command;
}

async function connected(settings: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(settings);
  await client.connect();
  return client;
}

function openPool(settings: pg.PoolConfig, { max, onIdleError }: DatabaseOptions): pg.Pool {
  const pool = new pg.Pool({ ...settings, max, idleTimeoutMillis: 60_000 });
  pool.on('error', onIdleError);
  return pool;
}

const defaultStatementTimeout: Milliseconds = 10_000;

function connectionSettings(options: DatabaseOptions): pg.ClientConfig {
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectMs ?? 5_000,
    query_timeout: (options.statementTimeoutMs ?? defaultStatementTimeout) + 2_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

function serverLimits({ statementTimeoutMs = defaultStatementTimeout }: DatabaseOptions) {
  return {
    statement_timeout: statementTimeoutMs,
    lock_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: 30_000,
  };
}

function localLimits(limits: ReturnType<typeof serverLimits>): string {
  return Object.entries(limits)
    .map(([name, ms]) => `set local ${name} = ${ms}`)
    .join('; ');
}

/** pgbouncer's words (its option `ignore_startup_parameters`). */
function refusesLimits(error: unknown): boolean {
  return error instanceof Error && error.message.includes('unsupported startup parameter');
}
