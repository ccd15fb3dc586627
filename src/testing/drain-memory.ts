// A drain without Postgres: jobs, listeners and the messages they enqueue run to the end on an outbox in memory.

import type { PgLike } from '../db/executor.ts';
import type { Transaction } from '../db/transaction.ts';
import type { Registry } from '../define/registry.ts';
import { checkOptions } from '../define/shape.ts';
import { drainOutbox } from '../drain/drain.ts';
import type { DrainReport } from '../drain/report.ts';
import type { DrainOptions } from '../drain/options.ts';
import type { MemoryOutbox } from '../store/memory.ts';
import type { NewMessage } from '../message/message.ts';
import type { OutboxPort } from '../outbox/port.ts';
import { handlerDatabase, type HandlerDatabase } from './handler-database.ts';

/** What `drainMemoryOutbox` takes. */
export type DrainMemoryOptions = Pick<
  DrainOptions,
  'email' | 'webhookAllow' | 'instrumentation' | 'retryDelayMs' | 'log'
> & {
  /** From createMemoryOutbox. */
  readonly outbox: MemoryOutbox;
  /** The definitions whose handlers run. */
  readonly registry: Registry;
  /** Answers `ctx.db.query`, as in runAction: a fake, or a pg client. Without it, a handler's query fails. */
  readonly db?: PgLike;
};

const known = ['outbox', 'registry', 'db', 'email', 'webhookAllow', 'instrumentation', 'retryDelayMs', 'log'];

/**
 * Delivers all messages that are due or become due meanwhile. What a handler enqueues exists when it returns, and not when it throws (invariant
 * A).
 * @throws WaybillError `definition_invalid` (an unknown option), `drain_options_invalid`
 */
export async function drainMemoryOutbox(options: DrainMemoryOptions): Promise<DrainReport> {
  checkOptions('drainMemoryOutbox', options, known);
  const { outbox, db, ...rest } = options;
  const { latest, transaction } = handlerDatabase(outbox, db);
  const { hasDue: _, ...port } = outbox; // tests look at the emails that wait: no warning
  return drainOutbox({
    ...rest,
    outbox: { ...port, on: (tx) => joined(outbox, latest, tx as Transaction) },
    pool: { transaction },
    untilEmpty: true,
    concurrency: 1, // so that a test sees the same order each time
  });
}

/**
 * The outbox of a handler's transaction. The first statement begins the transaction, so each method here begins it if necessary. One handler runs
 * at a time, so the last transaction is the handler's.
 */
function joined(outbox: OutboxPort, latest: HandlerDatabase['latest'], tx: Transaction): OutboxPort {
  async function within<T>(use: (its: OutboxPort) => Promise<T>): Promise<T> {
    const savepoint = await tx.savepoint();
    try {
      const result = await use(latest());
      await savepoint.keep();
      return result;
    } catch (error) {
      await savepoint.undo();
      throw error;
    }
  }
  return {
    ...outbox,
    enqueue: ((given: NewMessage) => within((its) => its.enqueue(given))) as OutboxPort['enqueue'],
    cancel: (id) => within((its) => its.cancel(id)),
    once: (about, make) => within((its) => its.once(about, make)),
  };
}
