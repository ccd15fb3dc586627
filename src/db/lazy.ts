// A transaction that begins with its first statement. A handler that needs no database holds no connection.

import type { Executor, PgLike } from './executor.ts';
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
  let opened: Promise<Transaction> | undefined;
  let finished: Promise<void> | undefined;
  const end = Promise.withResolvers<void>();
  end.promise.catch(() => undefined); // a rejection is how the body is told to roll back

  function open(): Promise<Transaction> {
    opened ??= new Promise((resolve, reject) => {
      finished = db.transaction(async (tx) => {
        resolve(tx);
        await end.promise;
      });
      finished.catch(reject);
    });
    return opened;
  }

  const executor: Executor = { executeSql: async (text, values) => (await open()).executeSql(text, values) };
  const client: PgLike = { query: async (text, values) => (await open()).client.query(text, values) };
  return {
    tx: {
      ...executor,
      client,
      savepoint: async (body) => (await open()).savepoint(body),
    },
    begun: () => opened !== undefined,
    async commit() {
      end.resolve();
      await finished;
    },
    async rollback() {
      end.reject(new RolledBack());
      await finished?.catch((error: unknown) => {
        if (!(error instanceof RolledBack)) throw error;
      });
    },
  };
}
