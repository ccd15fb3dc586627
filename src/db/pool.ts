// pg pools with every timeout set. A half-open connection without `query_timeout` wedges a pool without one error (FACTS 5).

import pg from 'pg';
import type { Milliseconds } from '../ports.ts';
import { marking, toExecutor, type Executor } from './executor.ts';
import { inTransaction, isUnreachable, type Transaction } from './transaction.ts';

export type Database = Executor & {
  /** Runs `body` in a transaction of its own connection; commits when it resolves, rolls back when it throws. */
  transaction<T>(body: (tx: Transaction) => Promise<T>, begin?: string): Promise<T>;
  /** A connection outside the pool, for LISTEN. The caller ends it. */
  connect(): Promise<pg.Client>;
  end(): Promise<void>;
};

export type DatabaseOptions = {
  readonly url: string;
  /** Connections at most. */
  readonly max: number;
  readonly applicationName: string;
  /** Longest that one statement may take. */
  readonly statementTimeoutMs?: Milliseconds;
  /** Longest wait for a connection, a free one of the pool or a new one. */
  readonly connectMs?: Milliseconds;
  /** Hears of connections that break while nobody uses them. */
  readonly onIdleError: (error: Error) => void;
};

/** Opens nothing yet; the first statement does. */
export function openDatabase(options: DatabaseOptions): Database {
  const settings = connectionSettings(options);
  const pool = new pg.Pool({ ...settings, max: options.max, idleTimeoutMillis: 60_000 });
  pool.on('error', options.onIdleError);
  return {
    ...toExecutor(pool),
    async transaction(body, begin) {
      const client = await marking(pool.connect());
      let broken: Error | undefined;
      const onError = (error: Error): void => void (broken = error);
      client.on('error', onError); // pg takes its own listener away while a client is out of the pool
      try {
        return await inTransaction(client, body, begin);
      } catch (error) {
        // Whatever state the connection is in after a failure, the next user gets a clean one.
        if (isUnreachable(error)) broken ??= error as Error;
        throw error;
      } finally {
        client.off('error', onError);
        client.release(broken);
      }
    },
    async connect() {
      const client = new pg.Client(settings);
      await client.connect();
      return client;
    },
    end: () => pool.end(),
  };
}

function connectionSettings(options: DatabaseOptions): pg.ClientConfig {
  const statement = options.statementTimeoutMs ?? 10_000;
  return {
    connectionString: options.url,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectMs ?? 5_000,
    query_timeout: statement + 2_000,
    statement_timeout: statement,
    lock_timeout: statement,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}
