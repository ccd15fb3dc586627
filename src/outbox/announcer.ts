// NOTIFY for applications that commit in transactions of their own (docs/adopting.md).

import { toExecutor, type Executor, type PgLike } from '../db/executor.ts';
import { createNotify } from './notify.ts';

/** Tells workers that messages were committed. */
export type OutboxNotify = {
  /** @param queues names of the queues that got messages, such as `['jobs']`; default: any */
  (queues?: readonly string[]): void;
};

/** Options of `createOutboxNotify`. */
export type OutboxNotifyOptions = {
  /** Called with the error of a NOTIFY that failed. Default: it is left to the poll. */
  readonly onError?: (error: unknown) => void;
};

/**
 * Lets workers start committed messages within milliseconds, where they would find them with their next poll (`WAYBILL_POLL_INTERVAL`). Call what
 * it returns after the commit, never inside the transaction: a NOTIFY there makes the commits of all others wait. It does not block; calls while a
 * NOTIFY is under way are merged into one. A NOTIFY that is lost loses no message.
 * @param pool where the NOTIFY is sent: a pool of pg, or an executor that is not in a transaction
 * @throws ExecutorError when `pool` is neither
 */
export function createOutboxNotify(pool: Executor | PgLike, options: OutboxNotifyOptions = {}): OutboxNotify {
  return createNotify(toExecutor(pool), options.onError ?? (() => undefined));
}
