// Idempotency-Key: whose key it is, and what it was asked for.

import { createHash } from 'node:crypto';
import type { Action } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import { answersKeptMs, type Once } from '../outbox/once.ts';

type Asked = { readonly idempotencyKey?: string | undefined; readonly invoker: Invoker };

/** Keys belong to their caller: nobody reads another one's answer by guessing a key. */
export function onceOf(
  { name }: Action,
  given: unknown,
  { idempotencyKey, invoker }: Asked,
): Once | undefined {
  if (idempotencyKey === undefined) return undefined;
  return {
    scope: `call ${name} ${callerOf(invoker)}`,
    key: idempotencyKey,
    fingerprint: digest(given),
    maxAgeMs: answersKeptMs,
    noWait: true,
  };
}

function callerOf(invoker: Invoker): string {
  if (invoker.type !== 'user') return invoker.type;
  return `user ${invoker.id ?? (invoker.claims ? digest(invoker.claims['sub'] ?? invoker.claims) : '')}`;
}

/** The same for the same JSON, whatever the order of its keys. */
function digest(value: unknown): string {
  const sorted = (_: string, inner: unknown): unknown =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return createHash('sha256')
    .update(JSON.stringify(value, sorted) ?? '')
    .digest('hex');
}
