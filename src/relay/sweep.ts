// The step *sweep*: messages whose lease ran out become due again (invariant B), rows that were edited by hand are mended or ended, and messages
// that newer ones replace are ended.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { expireLeases, findStuck } from '../outbox/expire.ts';
import { advanceOrders } from '../outbox/order.ts';
import { passKeys } from '../outbox/replace.ts';
import { withoutUnfit } from '../operate/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import { mend } from './mend.ts';

export type SweepOptions = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly intervalMs: Milliseconds;
  /** Called when messages became due. */
  readonly wakeRelay: () => void;
};

const batch = 500;

export function createSweep(options: SweepOptions): () => Promise<Milliseconds> {
  const { db, events, observe, intervalMs, wakeRelay } = options;

  async function expire(): Promise<number> {
    const ended = await expireLeases(db, batch);
    for (const one of ended) events.expired(one);
    return ended.length;
  }

  async function sweep(): Promise<Milliseconds> {
    const expired = await expire();
    const mended = await mend(db, await findStuck(db, batch), events);
    const passed = await passKeys(db, batch);
    const advanced = await advanceOrders(db, batch);
    if (expired + mended + passed + advanced > 0) wakeRelay();
    observe('swept', { expired, mended });
    return Math.max(expired, passed) >= batch ? 0 : intervalMs;
  }

  return () => withoutUnfit(db, events.unfit, sweep);
}
