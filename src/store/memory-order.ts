// Order keys of the outbox in memory (invariant K).

import type { MemoryMessage } from './memory-message.ts';

/** Dead messages whose death does not block their key, and all others that have ended, are out of its way. */
function holdsKey({ status, onDead }: MemoryMessage): boolean {
  return status === 'dead' ? onDead !== 'skip' : status !== 'delivered' && status !== 'cancelled';
}

type Keyed = Pick<MemoryMessage, 'queue' | 'orderKey'>;

/** Gives a message the last place of its order key, when it commits. */
export function enter(among: readonly MemoryMessage[], message: MemoryMessage): void {
  message.isBehind = message.orderKey !== undefined;
  if (message.orderKey === undefined) return;
  message.position = 1 + among.reduce((last, { position }) => Math.max(last, position), 0);
  advance(among, message);
}

/** Makes the first message of an order key available, if no other one of the key is. */
export function advance(among: readonly MemoryMessage[], { queue, orderKey }: Keyed): void {
  if (orderKey === undefined) return;
  const its = among.filter((m) => m.orderKey === orderKey && m.queue === queue && holdsKey(m));
  const [first] = its.toSorted((a, b) => a.position - b.position);
  if (first && its.every((m) => m.isBehind)) first.isBehind = false;
}
