// The owner and the fingerprint of an HTTP Idempotency-Key.

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
 * Refuses keys of indistinguishable callers, because such callers would get each other's answers.
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

/** Each caller has its own keys, so a guessed key does not return another caller's answer. */
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

/** The owner of keys. A user's id is the same in all sessions; without id and claims, the credential identifies the user. */
function holderOf(invoker: Invoker, credential: string | undefined): string | undefined {
  if (invoker.type === 'system') return invoker.type;
  if (invoker.type === 'anonymous') return undefined;
  if (invoker.id !== undefined) return `user ${invoker.id}`;
  if (invoker.claims) return `claims ${digest(invoker.claims['sub'] ?? invoker.claims)}`;
  return credential === undefined ? undefined : `credential ${credential}`;
}

/** A hash of JSON that does not depend on the order of its keys. */
function digest(value: unknown): string {
  const sorted = (_: string, inner: unknown): unknown =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  return createHash('sha256')
    .update(JSON.stringify(value, sorted) ?? '')
    .digest('hex');
}
