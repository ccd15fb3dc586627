// A transaction that begins with its first statement. A handler that needs no database holds no connection.

import type { PgLike } from './executor.ts';
import type { Transaction, Transactions } from './transaction.ts';

export type LazyTransaction = {
  readonly tx: Transaction;
  /** Whether anything was asked of the database. */
  begun(): boolean;
  /** Commits, if it began. Rejects when the commit fails, or the transaction had failed before. */
  commit(): Promise<void>;
  /** Rolls back, if it began. Resolves when the connection is free again. */
  rollback(): Promise<void>;
};

class RolledBack extends Error {
  override readonly name = 'RolledBack';
}

export function lazyTransaction(db: Transactions): LazyTransaction {
  let begun: Begun | undefined;
  // Methods, not arrows, which tsx names anew for each message; most of these begin nothing.
  const client: PgLike = {
    async query(text, values) {
      return (await (begun ??= begin(db)).transaction).client.query(text, values);
    },
  };
  return {
    tx: {
      client,
      async executeSql(text, values) {
        return (await (begun ??= begin(db)).transaction).executeSql(text, values);
      },
      async savepoint(body) {
        return (await (begun ??= begin(db)).transaction).savepoint(body);
      },
    },
    begun() {
      return begun !== undefined;
    },
    async commit() {
      begun?.end();
      await begun?.finished;
    },
    async rollback() {
      begun?.end(new RolledBack());
      await begun?.finished.catch((error: unknown) => {
        if (!(error instanceof RolledBack)) throw error;
      });
    },
  };
}

type Begun = {
  readonly transaction: Promise<Transaction>;
  readonly finished: Promise<void>;
  /** Commits, or with an error rolls back. */
  end(error?: Error): void;
};

function begin(db: Transactions): Begun {
  const opened = Promise.withResolvers<Transaction>();
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => undefined); // a rejection is how the body is told to roll back
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
