// What keeps the relay's steps going: a broken queue of pg-boss is made anew, and rows that break the rules of a message end.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import type { DueMessage } from '../outbox/due.ts';
import { isQueueName } from '../outbox/message.ts';
import { endUnfitIds, withoutUnfit } from '../outbox/unfit.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { healing } from '../queue/heal.ts';

export type Fitting = {
  readonly db: Executor;
  readonly queue: ParcelQueue;
  readonly events: Pick<Events, 'unfit'>;
};

/** The same step: rows that made it fail are ended and it runs once more; where the queue is broken, it is made anew and the step has failed. */
export function fitting(
  { db, queue, events }: Fitting,
  step: () => Promise<Milliseconds>,
): () => Promise<Milliseconds> {
  return healing(queue, () => withoutUnfit(db, events.unfit, step));
}

/** What pg-boss takes of what is due. What it would refuse ends here: a row with such a queue was written by hand, and must not hold up the others. */
export async function fitOf(
  tx: Executor,
  due: readonly DueMessage[],
  { unfit }: Pick<Events, 'unfit'>,
): Promise<readonly DueMessage[]> {
  const fit = due.filter(({ queue }) => isQueueName(queue));
  const others = due.filter(({ queue }) => !isQueueName(queue)).map(({ id }) => id);
  if (others.length > 0) unfit(await endUnfitIds(tx, others));
  return fit;
}
