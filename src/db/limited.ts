// A database whose statements have a shorter time limit than the pool's, for reads that a person waits for.

import type { Milliseconds } from '../ports.ts';
import type { Database } from './pool.ts';
import { beginning } from './transaction.ts';

/**
 * Each statement outside of a transaction runs in one of its own, because a limit for the session would stay behind a pooler.
 * @param limitMs of each statement
 */
export function limited(db: Database, limitMs: Milliseconds): Database {
  const transaction: Database['transaction'] = (body, begin = beginning, rider) =>
    db.transaction(body, `${begin}; set local statement_timeout = ${limitMs}`, rider);
  return {
    ...db,
    executeSql: (text, values, often) => transaction((tx) => tx.executeSql(text, values, often)),
    transaction,
  };
}
