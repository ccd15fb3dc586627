// The id of a message: a UUIDv7 (RFC 9562, section 5.7), so that ids of one process are in the order in which they were made.
// The package uuid does the same; drawing randomness for each id, it cost more than all the rest of checking a message
// (npm run bench -- record). Node draws it for many at a time.

import { randomUUID } from 'node:crypto';

/**
 * Makes ids in ascending order: 48 bits of milliseconds, a counter of 12 bits (section 6.2, method 1), and what is random in a version 4.
 * @param now milliseconds since 1970. When it goes back, or 4,096 ids share a millisecond, the ids run ahead of it.
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

/** One order for the whole process. */
export const newId = idsInOrder(Date.now);
