// The step *prune*: settled rows past their retention go, in batches that hold no long lock.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { pruneBatch, pruneKept, type Retention } from '../outbox/prune.ts';
import { withoutUnfit } from '../outbox/unfit.ts';
import type { Milliseconds, Observe } from '../ports.ts';

export type PruneOptions = {
  readonly db: Executor;
  readonly events: Events;
  readonly observe: Observe;
  readonly retention: Retention;
};

const batch = 1_000;
const idle: Milliseconds = 60_000;
/** Between full batches: leaves the disk to those who deliver. */
const breath: Milliseconds = 50;

export function createPrune({ db, events, observe, retention }: PruneOptions): () => Promise<Milliseconds> {
  return async function pruneStep() {
    const pruned = await withoutUnfit(db, events.unfit, () => pruneBatch(db, retention, batch));
    for (const { status, n } of pruned) events.pruned(status, n);
    const full = pruned.reduce((sum, { n }) => sum + n, 0) >= batch;
    const unfolded = await pruneKept(db, retention, batch);
    observe('pruned', { rows: pruned });
    return full || unfolded ? breath : idle;
  };
}
