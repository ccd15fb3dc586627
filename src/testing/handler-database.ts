// A transaction for one action without Postgres. The outbox in memory keeps what is recorded in it, and discards it when the transaction fails
// (invariant A). Only the handler's own queries reach the database that the test gave.

import { marking, type Executor, type PgLike } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import type { Transaction } from '../db/transaction.ts';
import { WaybillError } from '../errors.ts';
import type { MemoryOutbox, MemoryTransaction } from '../store/memory.ts';
import type { OutboxPort } from '../outbox/port.ts';

export type HandlerDatabase = Pick<Database, 'transaction'> & {
  /** The outbox of a running transaction. */
  outboxOn(tx: Executor): OutboxPort;
  /** The outbox of the transaction that began last. */
  latest(): OutboxPort;
};

export function handlerDatabase(outbox: MemoryOutbox, given: PgLike | undefined): HandlerDatabase {
  const running = new WeakMap<Executor, OutboxPort>();
  let last: OutboxPort = outbox;
  const client = checkedClient(given);
  return {
    outboxOn: (tx) => running.get(tx)!,
    latest: () => last,
    async transaction(body) {
      const work = outbox.begin();
      const tx = transactionOn(client, work);
      running.set(tx, work.outbox);
      last = work.outbox;
      const result = await body(tx);
      work.commit();
      return result;
    },
  };
}

function transactionOn(client: PgLike, work: MemoryTransaction): Transaction {
  return {
    client,
    async executeSql<Row>(text: string, values: readonly unknown[] = []) {
      return { rows: (await client.query(text, [...values])).rows as Row[] };
    },
    savepoint: async () => work.savepoint(),
  };
}

function checkedClient(given: PgLike | undefined): PgLike {
  return {
    async query(...asked) {
      if (given === undefined)
        throw new WaybillError(
          'test_database_missing',
          `the action asked the database (${JSON.stringify(asked[0]).slice(0, 120)}), and runAction was given none: pass db, an object whose query(sql, params) gives { rows: […] }`,
        );
      const answer: unknown = await marking(given.query(...asked));
      if (!Array.isArray((answer as { rows?: unknown } | null | undefined)?.rows))
        throw new WaybillError(
          'test_database_invalid',
          `the db that runAction was given answered without rows (to ${JSON.stringify(asked[0]).slice(0, 120)}): let its query give { rows: […] }`,
        );
      return answer as Awaited<ReturnType<PgLike['query']>>;
    },
  };
}
