// What heals itself, for the steps of the relay: pg-boss's schema (src/queue/heal.ts), and rows that nobody can take.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import type { DueMessage } from '../outbox/due.ts';
import { isQueueName } from '../outbox/message.ts';
import { endUnfitIds, withoutUnfit } from '../outbox/unfit.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';
import { healing as healingQueue } from '../queue/heal.ts';

export type Healing = {
  readonly db: Executor;
  readonly queue: ParcelQueue;
  readonly events: Pick<Events, 'unfit'>;
};

/** The same step. Rows that break the rules of a message and made it fail are ended, and it runs again. */
export function healing(
  { db, queue, events }: Healing,
  step: () => Promise<Milliseconds>,
): () => Promise<Milliseconds> {
  return healingQueue(queue, async () => withoutUnfit(db, events.unfit, step));
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
