// Idempotency-Key: whose key it is, and what it was asked for.

import { createHash } from 'node:crypto';
import type { Action } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import { WaybillError } from '../errors.ts';
import { answersKeptMs, type Once } from '../outbox/once.ts';

type Asked = {
  readonly idempotencyKey?: string | undefined;
  readonly invoker: Invoker;
  readonly credential?: string | undefined;
};

/**
 * Callers that nobody can tell apart would read each other's answers.
 * @throws WaybillError `idempotency_key_anonymous`
 */
export function checkKeyHolder(action: Action, { idempotencyKey, invoker, credential }: Asked): void {
  if (idempotencyKey === undefined || holderOf(invoker, credential) !== undefined || action.anonymousKeys)
    return;
  throw new WaybillError(
    'idempotency_key_anonymous',
    `${action.name} takes an Idempotency-Key from callers that it can tell apart: authenticate, or define the action with anonymousKeys: true`,
  );
}

/** Keys belong to their caller: nobody reads another one's answer by guessing a key. */
export function onceOf(
  { name }: Action,
  given: unknown,
  { idempotencyKey, invoker, credential }: Asked,
): Once | undefined {
  if (idempotencyKey === undefined) return undefined;
  return {
    scope: `call ${name} ${holderOf(invoker, credential) ?? 'anonymous'}`,
    key: idempotencyKey,
    fingerprint: digest(given),
    maxAgeMs: answersKeptMs,
    noWait: true,
  };
}

/** Whom keys belong to. An id of the application's holds over all sessions of its user; else the credential stands for its holder. */
function holderOf(invoker: Invoker, credential: string | undefined): string | undefined {
  if (invoker.type === 'system') return invoker.type;
  if (invoker.type === 'anonymous') return undefined;
  if (invoker.id !== undefined) return `user ${invoker.id}`;
  if (invoker.claims) return `claims ${digest(invoker.claims['sub'] ?? invoker.claims)}`;
  return credential === undefined ? undefined : `credential ${credential}`;
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
