// Keeps the relay's step going: recreates a broken pg-boss schema, and ends rows that break the rules of a message.

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

/** Wraps a step. If rows make it fail, they are ended and it runs again. If pg-boss's schema is broken, it is recreated and the step fails. */
export function fitting(
  { db, queue, events }: Fitting,
  step: () => Promise<Milliseconds>,
): () => Promise<Milliseconds> {
  return healing(queue, () => withoutUnfit(db, events.unfit, step));
}
