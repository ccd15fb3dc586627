// Whether two connections lead to the same database: a fleet that served it under two names would deliver from it twice as fast as its limits allow.

import { randomInt } from 'node:crypto';
import type { Executor } from './executor.ts';
import type { Transactions } from './transaction.ts';

/** Value: a key. Locks are of one database (postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS), and this one ends with its transaction. */
const lockSql = 'select pg_catalog.pg_try_advisory_xact_lock($1) as locked';

type Row = { readonly locked: boolean };

/**
 * One takes a lock that the other can take too if and only if it is another database. The system's identifier would be the same in a copy of the data
 * folder that has become a shard of its own, and the name of the database is often the same everywhere.
 */
export async function isSameDatabase(one: Transactions, other: Executor): Promise<boolean> {
  const key = randomInt(2 ** 47);
  return one.transaction(async (tx) => {
    await tx.executeSql<Row>(lockSql, [key]);
    const { rows } = await other.executeSql<Row>(lockSql, [key]);
    return rows[0]?.locked === false;
  });
}
