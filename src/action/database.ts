// A handler's view of its transaction: queries, nested transactions as savepoints, the client for a query builder.
// It ends with the handler: whoever goes on afterwards would write into somebody else's transaction.

import { marking, type PgLike } from '../db/executor.ts';
import type { Transaction } from '../db/transaction.ts';
import type { ContextDatabase, QueryResult } from '../define/context.ts';

/** @param check throws when the transaction is not to be used any more */
export function contextDatabase(tx: Transaction, check: () => void): ContextDatabase {
  // Query builders hand over more than a text: whatever it is goes through.
  const query = (...args: unknown[]): unknown => {
    check();
    return Reflect.apply(tx.client.query, tx.client, args);
  };
  return {
    async query<Row>(sql: string, params: readonly unknown[] = []) {
      check();
      const result = (await marking(tx.client.query(sql, [...params]))) as {
        rows: Row[];
        rowCount?: number | null;
      };
      return {
        rows: result.rows,
        rowCount: result.rowCount ?? result.rows.length,
      } satisfies QueryResult<Row>;
    },
    async transaction(body) {
      check();
      return tx.savepoint((inner) => body(contextDatabase(inner, check)));
    },
    client: { query } as PgLike,
  };
}
