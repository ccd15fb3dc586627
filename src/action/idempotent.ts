// idempotent(ctx, key, fn) runs a function once for each key, although its handler may run again.

import { onceKey, type ActionContext } from '../define/context.ts';
import { WaybillError } from '../errors.ts';
import { isDeliveryKey } from '../message/message.ts';

/** Values that JSON carries, so that a stored result equals a fresh one. */
export type Json =
  string | number | boolean | null | undefined | readonly Json[] | { readonly [key: string]: Json };

/**
 * Runs `fn` once for each key and returns its result. Later calls with the key return the stored result without running `fn`.
 * The key, the writes of `fn` through `ctx.db` and its messages commit with the handler's transaction. When `fn` throws, the key is free again.
 * Effects outside of this database are not undone: pass the provider its own idempotency key.
 * @param key 1 … 255 printable characters. Each action, job and listener has its own keys. A key is kept for WAYBILL_KEY_RETENTION.
 * @throws WaybillError `idempotency_key_invalid`; errors of `fn` pass through
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
