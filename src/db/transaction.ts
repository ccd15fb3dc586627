// begin, commit, rollback, savepoints.

import type { Executor, PgLike } from './executor.ts';
import { marking, toExecutor } from './executor.ts';

export type Transaction = Executor & {
  /** The pg client of the transaction, for a query builder that is to join it. */
  readonly client: PgLike;
  /** A savepoint: undone alone when `body` throws. */
  savepoint<T>(body: (tx: Transaction) => Promise<T>): Promise<T>;
};

/** What is needed of a pg pool that is the application's own. Not pg's own types: an application without @types/pg has types all the same. */
export type PgPool = { connect(): Promise<PgPoolClient> };

export type PgPoolClient = PgLike & {
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
  release(error?: Error): void;
};

/** Whatever can run a transaction on a connection of its own. */
export type Transactions = {
  /** Commits when `body` resolves, rolls back when it throws. `begin` may carry settings, in the same round trip. */
  transaction<T>(body: (tx: Transaction) => Promise<T>, begin?: string, rider?: Rider<T>): Promise<T>;
};

/** A statement that goes out in the commit's own message, where the connection can do that. It is begun after the commit and fails alone. */
export type Rider<T> = {
  readonly sql: (result: T) => string | undefined;
  /** It went through. Otherwise whoever wants it sends it. */
  readonly sent: () => void;
};

/**
 * Our transactions say what they need, whatever the default of the database is: under a stricter level, claims and settlements of different messages
 * would fail each other. Who needs one says so before the first query: `set transaction isolation level serializable`.
 */
export const beginning = 'begin isolation level read committed';

/** Gives the answer's tag. */
export type Commit<T> = (result: T) => Promise<string | undefined>;

/** Runs `body` between begin and commit on one connection. `begin` may carry settings, in the same round trip. */
export async function inTransaction<T>(
  client: PgLike,
  body: (tx: Transaction) => Promise<T>,
  begin = beginning,
  commit: Commit<T> = async () => (await marking(client.query('commit'))).command,
): Promise<T> {
  await marking(client.query(begin));
  try {
    const result = await body(joined(client, 1));
    // After an error that the body caught, Postgres answers ROLLBACK and no error: nothing was committed, and the caller must know.
    if ((await commit(result)) === 'ROLLBACK') throw new TransactionRolledBack();
    return result;
  } catch (error) {
    await rollBack(client);
    throw error;
  }
}

export class TransactionRolledBack extends Error {
  override readonly name = 'TransactionRolledBack';
  constructor() {
    super(
      'nothing was committed: a statement of the transaction had failed, and its error was caught. Put what may fail into ctx.db.transaction, a savepoint',
    );
  }
}

async function rollBack(client: PgLike): Promise<void> {
  try {
    await client.query('rollback');
  } catch {
    // The connection is gone, and with it the transaction: the first error tells why.
  }
}

function joined(client: PgLike, depth: number): Transaction {
  return {
    ...toExecutor(client),
    client,
    async savepoint(body) {
      const name = `waybill_${depth}`;
      await client.query(`savepoint ${name}`);
      try {
        const result = await body(joined(client, depth + 1));
        await client.query(`release savepoint ${name}`);
        return result;
      } catch (error) {
        await client.query(`rollback to savepoint ${name};release savepoint ${name}`);
        throw error;
      }
    },
  };
}
