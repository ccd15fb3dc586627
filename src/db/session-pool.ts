// Pools of pg whose connections have every timeout and setting. Without `query_timeout`, a half-open connection blocks a pool without any error.

import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { openCarefulPool, type Kin } from './careful-pool.ts';
import { sqlState } from './diagnosis.ts';
import { isFromDatabase, markError, marking, withOwnPath } from './executor.ts';
import { ownTypes } from './parsers.ts';
import {
  effectiveSql,
  isEffective,
  localSettings,
  settingsOf,
  startupOptions,
  suffices,
  type Effective,
  type Settings,
  type Use,
} from './settings.ts';

export type SessionOptions = {
  readonly url: string;
  /** The variable that the URL came from, for messages. Default `DATABASE_URL`. */
  readonly setting?: string;
  readonly max: number;
  readonly applicationName: string;
  readonly statementTimeoutMs?: Milliseconds;
  /** Maximum wait for a connection, pooled or new. */
  readonly connectMs?: Milliseconds;
  /** Whose statements it runs (settings.ts). Default `application`. */
  readonly use?: Use;
  /** The other pools of this process that lead to the same server. */
  readonly kin?: Kin;
  /** The name of this pool among `kin`. */
  readonly name?: string;
  /** Called when a connection breaks while it is idle. */
  readonly onIdleError: (error: Error) => void;
};

export type Sessions = {
  /** Opens the first connection, and reads from it which settings sessions have. */
  opened(): Promise<Opened>;
  /** Runs a function that needs the pool. Errors of the database are marked with the variable that holds its URL. */
  use<T>(body: (opened: Opened) => Promise<T>): Promise<T>;
  /** A connection outside of the pool. Its queries have no timeout in pg. */
  connect(): Promise<pg.Client>;
  end(): Promise<void>;
};

export type Opened = {
  readonly pool: pg.Pool;
  /** Settings that each transaction must set itself, because sessions behind a pooler do not have ours. */
  readonly carried: string | undefined;
  /** A statement outside of a transaction may be wrong: it needs a transaction that sets the settings. */
  readonly isBare: boolean;
};

// oxlint-disable-next-line max-lines-per-function -- methods over the state of one pool
export function createSessions(options: SessionOptions): Sessions {
  const settings = settingsOf(options.use ?? 'application');
  const limits = serverLimits(options);
  const bare = connectionConfig(options);
  const full = { ...bare, ...limits, ...withOptions(options, settings) };
  const { setting = 'DATABASE_URL' } = options;
  let pool = openPool(full, options);
  let opening: Promise<Opened> | undefined;
  let known: Opened | undefined;

  async function effective(): Promise<Effective> {
    return (await marking(pool.query<Effective>({ text: effectiveSql(settings), types: ownTypes }))).rows[0]!;
  }

  async function open(): Promise<Opened> {
    let found: Effective;
    try {
      found = await effective();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      pool.end().catch(options.onIdleError);
      pool = openPool(bare, options);
      found = await effective();
    }
    const wanted = { ...settings, statement_timeout: shown(limits.statement_timeout) };
    const carried = isEffective(wanted, found)
      ? undefined
      : `${localLimits(limits)}; ${localSettings(settings)}`;
    return { pool, carried, isBare: carried !== undefined && !suffices(settings, found) };
  }

  async function opened(): Promise<Opened> {
    if (known) return known;
    opening ??= open();
    try {
      return (known = await opening);
    } finally {
      opening = undefined;
    }
  }

  return {
    opened,
    async use(body) {
      try {
        return await body(known ?? (await opened()));
      } catch (error) {
        throw isFromDatabase(error) ? markError(error, setting) : error;
      }
    },
    async connect() {
      const untimed = { query_timeout: 0 }; // a timer for each query costs a fiftieth of a millisecond when idle
      const client = connected({ ...full, ...untimed }).catch((error: unknown) => {
        if (!isRefusal(error)) throw error;
        return connected({ ...bare, ...untimed });
      });
      return marking(client, setting);
    },
    end: () => pool.end(),
  };
}

async function connected(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config);
  await client.connect();
  return client;
}

function openPool(config: pg.PoolConfig, options: SessionOptions): pg.Pool {
  const pool = openCarefulPool(config, { connectMs: usualConnectMs, ...options });
  if (options.use === 'ours') pool.on('connect', (client) => withOwnPath.add(client));
  return pool;
}

const usualConnectMs: Milliseconds = 5_000;

const defaultStatementTimeout: Milliseconds = 10_000;

function connectionConfig(options: SessionOptions): pg.ClientConfig {
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectMs ?? usualConnectMs,
    query_timeout: (options.statementTimeoutMs ?? defaultStatementTimeout) + 2_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...(options.use === 'ours' && { types: ownTypes }),
  };
}

/** Keeps the options of the URL or the environment (PGOPTIONS). Ours come last, so they win over the same setting. */
function withOptions({ url }: SessionOptions, settings: Settings): pg.ClientConfig {
  const [, given] = /[?&]options=([^&#]*)/.exec(url) ?? [];
  const theirs =
    given === undefined ? process.env['PGOPTIONS'] : decodeURIComponent(given.replaceAll('+', ' '));
  const all = [theirs, startupOptions(settings)].filter(Boolean).join(' ');
  if (given === undefined) return { options: all };
  // pg prefers the parameters of a URL over everything else.
  return { connectionString: url.replace(`options=${given}`, () => `options=${encodeURIComponent(all)}`) };
}

function serverLimits({ statementTimeoutMs = defaultStatementTimeout }: SessionOptions) {
  return {
    statement_timeout: statementTimeoutMs,
    lock_timeout: statementTimeoutMs,
    idle_in_transaction_session_timeout: 30_000,
  };
}

/** In Postgres's notation. */
function shown(ms: Milliseconds): string {
  const units = [
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
  ] as const;
  const [unit, size] = units.find(([, size]) => ms % size === 0) ?? ['ms', 1];
  return ms === 0 ? '0' : `${ms / size}${unit}`;
}

function localLimits(limits: ReturnType<typeof serverLimits>): string {
  return Object.entries(limits)
    .map(([name, ms]) => `set local ${name} = ${ms}`)
    .join('; ');
}

/**
 * Some servers refuse settings at connect: pgbouncer ("unsupported startup parameter", its option `ignore_startup_parameters`), the proxy of RDS
 * ("does not support command-line options"), and servers of another kind that lack a setting (42704).
 */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (/unsupported startup parameter|command-line options/i.test(error.message)) return true;
  return sqlState(error) === '42704' && /configuration parameter/.test(error.message);
}
