// begin, commit, rollback, savepoints.

import { sqlState } from './diagnosis.ts';
import type { Executor, PgLike } from './executor.ts';
import { marking, toExecutor } from './executor.ts';
import { savepointPrefix } from './statement.ts';

export type Transaction = Executor & {
  /** The pg client of the transaction, for a query builder that is to join it. */
  readonly client: PgLike;
  /** Sets one. They lie on one another: the last that was set is the first to be kept or undone (scope.ts). */
  savepoint(): Promise<Savepoint>;
};

export type Savepoint = {
  /** @throws TransactionRolledBack when a statement since then had failed */
  readonly keep: () => Promise<void>;
  /** Undoes what was done since. */
  readonly undo: () => Promise<void>;
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
    const result = await body(joined(client));
    if (isLost(client)) throw new TransactionLost();
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
  constructor(options?: ErrorOptions) {
    super(
      'nothing was committed: a statement of the transaction had failed, and its error was caught. Put what may fail into ctx.db.transaction, a savepoint',
      options,
    );
  }
}

/** A statement of the body that nobody recognised has ended the transaction: what follows would commit by itself. */
export class TransactionLost extends Error {
  override readonly name = 'TransactionLost';
  constructor() {
    super(
      'the transaction had been ended by one of its own statements before its commit; what it wrote until then stands',
    );
  }
}

/** What the server itself said after the last statement (protocol, ReadyForQuery), where the client tells. */
function isLost(client: PgLike & { getTransactionStatus?(): string | null }): boolean {
  return client.getTransactionStatus?.() === 'I';
}

async function rollBack(client: PgLike): Promise<void> {
  try {
    await client.query('rollback');
  } catch {
    // The connection is gone, and with it the transaction: the first error tells why.
  }
}

function joined(client: PgLike): Transaction {
  let serial = 0;
  const say = async (sql: string): Promise<void> => void (await marking(client.query(sql)));
  return {
    ...toExecutor(client),
    client,
    async savepoint() {
      const name = `${savepointPrefix}${++serial}`; // none comes twice: what touches the wrong one fails
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
