// The step *bulk*: the relay works off what people started for many messages, one batch after another.

import type { Database } from '../db/pool.ts';
import { workBulk } from '../operate/bulk-work.ts';
import type { Clock, Milliseconds, Observe } from '../ports.ts';

export type BulkOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly observe: Observe;
  /** The delay while no act is running. */
  readonly idleMs: Milliseconds;
};

/** After a batch it rests for so many times the time that the batch took, so that recording and delivery keep their pace. */
const restAfterChanges = 3;
const restAfterReading = 1;

export function createBulk({ db, clock, observe, idleMs }: BulkOptions): () => Promise<Milliseconds> {
  return async function bulkStep() {
    const began = clock.now();
    const done = await workBulk(db);
    if (done.id === null) return Math.min(idleMs, done.inMs ?? idleMs);
    observe('bulk', { id: done.id, changed: done.changed });
    return (clock.now() - began) * (done.changed > 0 ? restAfterChanges : restAfterReading);
  };
}
