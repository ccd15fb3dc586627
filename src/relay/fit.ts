// What keeps the relay's step going: a broken schema of pg-boss is made anew, and rows that break the rules of a message end.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { withoutUnfit } from '../operate/unfit.ts';
import type { Milliseconds } from '../ports.ts';
import type { WakeUpQueue } from '../queue/boss.ts';
import { healing } from '../queue/heal.ts';

export type Fitting = {
  readonly db: Executor;
  readonly queue: WakeUpQueue;
  readonly events: Pick<Events, 'unfit'>;
};

/** The same step: rows that made it fail are ended and it runs once more; where the queue is broken, it is made anew and the step has failed. */
export function fitting(
  { db, queue, events }: Fitting,
  step: () => Promise<Milliseconds>,
): () => Promise<Milliseconds> {
  return healing(queue, () => withoutUnfit(db, events.unfit, step));
}
