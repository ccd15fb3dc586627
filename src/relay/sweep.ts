// The step *sweep*: leases that ran out make their messages due again (invariant B), and rows that were edited by hand are mended or end.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { expireLeases, findStuck, killExhausted, restamp } from '../outbox/expire.ts';
import type { Status } from '../outbox/message.ts';
import { isAllowed } from '../outbox/transitions.ts';
import { endUnfitIds, withoutUnfit } from '../outbox/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';

export type SweepOptions = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly intervalMs: Milliseconds;
  /** Called when something became due. */
  readonly wakeRelay: () => void;
};

const batch = 500;

export function createSweep(options: SweepOptions): () => Promise<Milliseconds> {
  const { db, events, observe, intervalMs, wakeRelay } = options;

  async function expire(): Promise<number> {
    const ended = [...(await expireLeases(db, batch)), ...(await killExhausted(db, batch))];
    for (const one of ended) events.expired(one);
    return ended.length;
  }

  /** Rows edited by hand. */
  async function mend(): Promise<number> {
    const found = await findStuck(db, batch);
    if (found.length === 0) return 0;
    const restamped = await restamp(
      db,
      found.flatMap(({ id, status }) => (isAllowed('expire', status as Status) ? [id] : [])),
    );
    const ids = found.map(({ id }) => id);
    const ended = await endUnfitIds(db, ids);
    events.unfit(ended);
    return restamped + ended.length + (await restamp(db, ids));
  }

  async function sweep(): Promise<Milliseconds> {
    const expired = await expire();
    const mended = await mend();
    if (expired + mended > 0) wakeRelay();
    observe('swept', { expired, mended });
    return expired >= batch ? 0 : intervalMs;
  }

  return () => withoutUnfit(db, events.unfit, sweep);
}
