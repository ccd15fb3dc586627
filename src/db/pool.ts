// Databases as our code uses them: statements, transactions, and statements whose plans are kept.

import type pg from 'pg';
import { commitWith } from './commit.ts';
import { asOurs, ExecutorError, marking, toExecutor, type Executor } from './executor.ts';
import { ownTypes } from './parsers.ts';
import { isPreparing, queryPrepared, withFreshPlans } from './prepared.ts';
import { isUnreachable } from './diagnosis.ts';
import { createSessions, type SessionOptions } from './session-pool.ts';
import {
  beginning,
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
    /** A connection outside the pool, for LISTEN. The caller ends and monitors it: its queries have no timeout in pg. */
    connect(): Promise<pg.Client>;
    end(): Promise<void>;
  };

export type DatabaseOptions = SessionOptions & {
  /** Settings for sessions that keep plans of frequent statements (prepared.ts). Without it, none keeps plans. */
  readonly planning?: string;
};

/** Opens no connection until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const sessions = createSessions(options);
  const { planning } = options;

  const plain = toExecutor({
    query: (text, values) =>
      sessions.use(async ({ pool, isBare }) => {
        if (!isBare) return marking(pool.query({ text, values, types: ownTypes }));
        return transaction((tx) => tx.executeSql(text, values)) as Promise<{ rows: unknown[] }>;
      }),
  });
  const planned: Executor = asOurs({
    isPlanned: true as const,
    async executeSql<Row>(text: string, values: readonly unknown[] = [], often = false) {
      if (!often || (await sessions.opened()).carried !== undefined)
        return plain.executeSql<Row>(text, values);
      const ask = (own: PgPoolClient): Promise<{ rows: unknown[] }> =>
        marking(
          isPreparing(own)
            ? queryPrepared(own, text, values as unknown[], planning)
            : own.query(text, values as unknown[]),
        );
      const { rows } = await sessions.use(async ({ pool }) => lent(await marking(pool.connect()), ask));
      return { rows: rows as Row[] };
    },
  });
  function transaction<T>(
    body: (tx: Transaction) => Promise<T>,
    begin = beginning,
    rider?: Rider<T>,
  ): Promise<T> {
    return sessions.use(async ({ pool, carried }) => {
      const client = await marking(pool.connect());
      const opening =
        carried === undefined ? withFreshPlans(client, begin, performance.now()) : carrying(begin, carried);
      return onClient(client, body, opening, rider && ((result) => commitBeside(client, rider, result)));
    });
  }
  return {
    ...(planning === undefined ? plain : planned),
    ...(options.use === 'ours' && { hasOwnPath: true as const }),
    transaction,
    connect: () => sessions.connect(),
    end: () => sessions.end(),
  };
}

/** The settings of `begin` come last, so that they count. */
function carrying(begin: string, carried: string): string {
  const end = begin.indexOf(';');
  return end < 0 ? `${begin}; ${carried}` : `${begin.slice(0, end)}; ${carried}${begin.slice(end)}`;
}

export function transactionsOf(pool: PgPool): Transactions {
  return {
    async transaction(body, begin = beginning) {
      if (typeof (pool as Partial<PgPool> | null)?.connect !== 'function') throw new ExecutorError(pool);
      return onClient(await marking(pool.connect()), body, begin);
    },
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

/** Releases the client to its pool afterwards. */
async function lent<T>(client: PgPoolClient, use: (client: PgPoolClient) => Promise<T>): Promise<T> {
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError); // pg removes its own listener while a client is out of the pool
  try {
    return await use(client);
  } catch (error) {
    // A connection that was lost is closed instead of reused.
    if (isUnreachable(error)) broken ??= error as Error;
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
