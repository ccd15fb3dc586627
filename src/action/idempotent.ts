// idempotent(ctx, key, fn): in a handler that may run again, something that is done once.

import { onceKey, type ActionContext } from '../define/context.ts';
import { WaybillError } from '../errors.ts';
import { isDeliveryKey } from '../message/message.ts';

/** What JSON carries, so that a kept answer is the same as a fresh one. */
export type Json =
  string | number | boolean | null | undefined | readonly Json[] | { readonly [key: string]: Json };

/**
 * Runs `fn` once for each key, and gives its answer; afterwards gives the kept answer without running it. What `fn` writes through
 * `ctx.db`, what it enqueues, and the key commit together with the handler's transaction. When `fn` throws, the key is free again.
 * What `fn` does outside of this database is not undone: give the provider an idempotency key of its own.
 * @param key 1 … 255 printable characters; each action, job and listener has its own keys. It holds for WAYBILL_KEY_RETENTION.
 * @throws WaybillError `idempotency_key_invalid`; what `fn` throws passes through
 */
export function idempotent<T extends Json | void>(
  ctx: Pick<ActionContext, typeof onceKey>,
  key: string,
  fn: () => Promise<T> | T,
): Promise<T> {
  if (typeof fn !== 'function')
    return Promise.reject(
      new WaybillError('options_invalid', 'idempotent(ctx, key, fn): fn must be a function'),
    );
  if (isDeliveryKey(key)) return ctx[onceKey](key, fn) as Promise<T>;
  return Promise.reject(
    new WaybillError('idempotency_key_invalid', 'the key of idempotent has 1 to 255 printable characters'),
  );
}
