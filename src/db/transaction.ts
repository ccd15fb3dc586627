// Transactions on one connection: begin, commit, rollback, savepoints.

import { isUnreachable, sqlState } from './diagnosis.ts';
import type { Executor, PgLike } from './executor.ts';
import { marking, toExecutor } from './executor.ts';
import { savepointPrefix } from './statement.ts';

/** A transaction on one connection. */
export type Transaction = Executor & {
  /** The pg client of the transaction, for a query builder that joins it. */
  readonly client: PgLike;
  /** Sets a savepoint. Savepoints nest: the last one set must be kept or undone first (scope.ts). */
  savepoint(): Promise<Savepoint>;
};

/** A savepoint: a part of a transaction that is kept or undone on its own. */
export type Savepoint = {
  /** @throws TransactionRolledBack when a statement after the savepoint had failed */
  readonly keep: () => Promise<void>;
  /** Undoes everything since the savepoint. */
  readonly undo: () => Promise<void>;
};

/** The part of an application's pg pool that is used here. It does not use pg's types, so an application without @types/pg has types too. */
export type PgPool = {
  /** Takes a connection out of the pool. */
  connect(): Promise<PgPoolClient>;
};

/** A connection of the pool. */
export type PgPoolClient = PgLike & {
  /** Adds a listener for a connection that breaks. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Removes it. */
  off(event: 'error', listener: (error: Error) => void): unknown;
  /** Gives the connection back; with an error it is closed instead. */
  release(error?: Error): void;
};

/** Anything that can run a transaction on its own connection. */
export type Transactions = {
  /** Commits when `body` resolves, rolls back when it throws. `begin` may carry settings, in the same round trip. */
  transaction<T>(body: (tx: Transaction) => Promise<T>, begin?: string, rider?: Rider<T>): Promise<T>;
};

/** A statement sent in the same message as the commit, where the connection supports that. It starts after the commit and fails alone. */
export type Rider<T> = {
  /** The statement, from what `body` returned; undefined: none. */
  readonly sql: (result: T) => string | undefined;
  /** Called when the statement succeeded. Otherwise the caller must send it. */
  readonly sent: () => void;
};

/**
 * Our transactions name their isolation level, whatever the database's default is. Under a stricter level, claims and settlements of different
 * messages would fail each other. A stricter level is set before the first query: `set transaction isolation level serializable`.
 */
export const beginning = 'begin isolation level read committed';

/** Returns the command tag of the answer. */
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
    const result = await body(joined(client));
    if (isLost(client)) throw new TransactionLost();
    // After an error that the body caught, Postgres answers the commit with ROLLBACK and no error. Nothing was committed, so the caller must get an
    // error.
    if ((await commit(result)) === 'ROLLBACK') throw new TransactionRolledBack();
    return result;
  } catch (error) {
    if (!isUnanswered(error)) await rollBack(client);
    throw error;
  }
}

export class TransactionRolledBack extends Error {
  override readonly name = 'TransactionRolledBack';
  constructor(options?: ErrorOptions) {
    super(
      'nothing was committed: a statement of the transaction had failed, and its error was caught. Put what may fail into ctx.db.transaction, a savepoint',
      options,
    );
  }
}

/** An unrecognised statement of the body ended the transaction: later statements would commit on their own. */
export class TransactionLost extends Error {
  override readonly name = 'TransactionLost';
  constructor() {
    super(
      'the transaction had been ended by one of its own statements before its commit; what it wrote until then stands',
    );
  }
}

/** The transaction status after the last statement (protocol, ReadyForQuery), where the client exposes it. */
function isLost(client: PgLike & { getTransactionStatus?(): string | null }): boolean {
  return client.getTransactionStatus?.() === 'I';
}

/**
 * The connection gave no answer, so a rollback would wait behind the statement that waits for it. Whoever lent the connection closes it (pool.ts), which
 * rolls back too.
 */
const isUnanswered = (error: unknown): boolean => sqlState(error) === undefined && isUnreachable(error);

async function rollBack(client: PgLike): Promise<void> {
  try {
    await client.query('rollback');
  } catch {
    // The connection is lost, and the transaction with it. The first error gives the reason.
  }
}

function joined(client: PgLike): Transaction {
  let serial = 0;
  const say = async (sql: string): Promise<void> => void (await marking(client.query(sql)));
  return {
    ...toExecutor(client),
    client,
    async savepoint() {
      const name = `${savepointPrefix}${++serial}`; // no name is used twice, so keeping or undoing the wrong savepoint fails
      await say(`savepoint ${name}`);
      return {
        async keep() {
          await say(`release savepoint ${name}`).catch((error: unknown) => {
            throw sqlState(error) === '25P02' ? new TransactionRolledBack({ cause: error }) : error;
          });
        },
        undo: () => say(`rollback to savepoint ${name};release savepoint ${name}`),
      };
    },
  };
}
