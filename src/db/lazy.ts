// A transaction that begins with its first statement, so a handler that needs no database holds no connection.

import { asOurs, type PgLike, type SqlResult } from './executor.ts';
import { Scope } from './scope.ts';
import type { Savepoint, Transaction, Transactions } from './transaction.ts';

class RolledBack extends Error {
  override readonly name = 'RolledBack';
}

/** A class, because one is made for each message and most begin nothing: methods on the prototype cost nothing. */
export class LazyTransaction {
  readonly #db: Transactions;
  /** For the owner only: handlers use the scope. */
  readonly tx: Transaction;
  readonly scope: Scope;
  #begun: Begun | undefined = undefined;

  constructor(db: Transactions) {
    this.#db = db;
    this.tx = new LazyStatements(this);
    this.scope = new Scope(this.tx);
  }

  transaction(): Promise<Transaction> {
    return (this.#begun ??= begin(this.#db)).transaction;
  }

  /** Whether a statement was sent. */
  begun(): boolean {
    return this.#begun !== undefined;
  }

  /** Commits if it began. Rejects when the commit fails, or when the transaction had failed before. */
  async commit(): Promise<void> {
    await this.scope.close();
    this.#begun?.end();
    await this.#begun?.finished;
  }

  /** Rolls back if it began. Resolves when the connection is released. */
  async rollback(): Promise<void> {
    await this.scope.close();
    this.#begun?.end(new RolledBack());
    await this.#begun?.finished.catch((error: unknown) => {
      if (!(error instanceof RolledBack)) throw error;
    });
  }
}

class LazyStatements implements Transaction {
  readonly #lazy: LazyTransaction;
  #client: PgLike | undefined = undefined;

  constructor(lazy: LazyTransaction) {
    this.#lazy = lazy;
  }

  get client(): PgLike {
    const lazy = this.#lazy;
    return (this.#client ??= {
      // Query builders pass more than a text, so all arguments go through.
      async query(...given) {
        return (await lazy.transaction()).client.query(...given);
      },
    });
  }

  async executeSql<Row>(text: string, values?: readonly unknown[], often?: boolean): Promise<SqlResult<Row>> {
    return (await this.#lazy.transaction()).executeSql<Row>(text, values, often);
  }

  async savepoint(): Promise<Savepoint> {
    return (await this.#lazy.transaction()).savepoint();
  }
}

asOurs(LazyStatements.prototype); // once on the prototype: an object is made for each message

type Begun = {
  readonly transaction: Promise<Transaction>;
  readonly finished: Promise<void>;
  end(error?: Error): void;
};

function begin(db: Transactions): Begun {
  const opened = Promise.withResolvers<Transaction>();
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined); // the rejection makes the body roll back
  const finished = db.transaction(async (tx) => {
    opened.resolve(tx);
    await ended.promise;
  });
  finished.catch(opened.reject);
  return {
    finished,
    transaction: opened.promise,
    end: (error) => (error ? ended.reject(error) : ended.resolve()),
  };
}
