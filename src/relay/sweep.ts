// The step *sweep*: leases that ran out and parcels that vanished make their messages due again (invariant B).

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { expireLeases, findStuck, findSuspects, killExhausted, unrelay } from '../outbox/lapsed.ts';
import { endUnfitIds } from '../outbox/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { fitting } from './fit.ts';

export type SweepOptions = {
  readonly db: Executor;
  readonly queue: ParcelQueue;
  readonly events: Events;
  readonly observe: Observe;
  readonly intervalMs: Milliseconds;
  /** Called when something became due. */
  readonly nudge: () => void;
  /** How long a message may be relayed and unclaimed before its parcel is looked for. */
  readonly suspectAfterMs?: Milliseconds;
};

const batch = 500;

export function createSweep(options: SweepOptions): () => Promise<Milliseconds> {
  const { db, queue, events, observe, intervalMs, nudge, suspectAfterMs = 10_000 } = options;

  async function expire(): Promise<number> {
    const ended = [...(await expireLeases(db, batch)), ...(await killExhausted(db, batch))];
    for (const one of ended) events.expired(one);
    return ended.length;
  }

  async function recover(): Promise<number> {
    const suspects = await findSuspects(db, suspectAfterMs, 20_000);
    if (suspects.length === 0) return 0;
    const there = await queue.waiting([...new Set(suspects.map((suspect) => suspect.queue))]);
    const missing = suspects.filter((suspect) => !there.has(suspect.id)).map((suspect) => suspect.id);
    const freed = missing.length > 0 ? await unrelay(db, missing, suspectAfterMs) : [];
    for (const [name, its] of Map.groupBy(freed, (queueName) => queueName)) events.vanished(name, its.length);
    return freed.length;
  }

  /** Rows edited by hand. */
  async function free(): Promise<number> {
    const ids = await findStuck(db, batch);
    if (ids.length === 0) return 0;
    const ended = await endUnfitIds(db, ids);
    events.unfit(ended);
    const freed = await unrelay(db, ids, suspectAfterMs);
    return ended.length + freed.length;
  }

  return fitting({ db, queue, events }, async function sweepStep() {
    const expired = await expire();
    const freed = await free();
    const vanished = await recover();
    if (expired + freed + vanished > 0) nudge();
    observe('swept', { expired, vanished });
    return expired >= batch ? 0 : intervalMs;
  });
}
