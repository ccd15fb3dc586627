// The id of a message: a UUIDv7 (RFC 9562, section 5.7), so that the ids of one process are in the order of their creation.
// The package uuid draws randomness for each id, which cost more than all other checks of a message (npm run bench -- record).
// Node's randomUUID draws it for many ids at a time.

import { randomUUID } from 'node:crypto';
import { WaybillError } from '../errors.ts';

/**
 * Makes ids in ascending order: 48 bits of milliseconds, a counter of 12 bits (section 6.2, method 1), and the random bits of a UUIDv4.
 * @param now milliseconds since 1970. When it goes back, or more than 4,096 ids share a millisecond, the ids run ahead of it.
 */
export function idsInOrder(now: () => number): () => string {
  let last = 0;
  let counter = 0;
  return () => {
    const ms = now();
    counter = ms > last ? 0 : counter + 1;
    if (ms > last || counter > 0xfff) last = Math.max(ms, last + 1);
    counter &= 0xfff;
    const time = last.toString(16).padStart(12, '0');
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, '0')}${randomUUID().slice(18)}`;
  };
}

/** All ids of the process share one order. */
export const newId = idsInOrder(Date.now);

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Checks the claim given to `markDelivered` or `markFailed`. The error never repeats the arguments: one may be a claim token.
 * @throws WaybillError `claim_invalid`
 */
export function checkClaim(method: 'markDelivered' | 'markFailed', id: unknown, claimToken: unknown): void {
  const isRight = [id, claimToken].every((given) => typeof given === 'string' && uuid.test(given));
  if (isRight) return;
  throw new WaybillError(
    'claim_invalid',
    `${method} takes the id and the claim token as two arguments: ${method}(message.id, message.claimToken${method === 'markFailed' ? ', error' : ''})`,
  );
}
