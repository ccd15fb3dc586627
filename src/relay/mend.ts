// Mends rows that were edited by hand so that no claim takes them, or ends them with their reason.

import type { Executor } from '../db/executor.ts';
import type { Events } from '../metrics/events.ts';
import { killExhausted, restamp, type Stuck } from '../outbox/expire.ts';
import type { Status } from '../message/message.ts';
import { isAllowed } from '../message/transitions.ts';
import { endUnfitIds } from '../operate/unfit.ts';

/** @returns how many rows */
export async function mend(
  db: Executor,
  found: readonly Stuck[],
  events: Pick<Events, 'unfit' | 'expired'>,
): Promise<number> {
  if (found.length === 0) return 0;
  const isSending = ({ status }: Stuck): boolean => isAllowed('expire', status as Status);
  const sending = found.filter(isSending).map(({ id }) => id);
  const ids = found.filter((one) => !isSending(one)).map(({ id }) => id);
  const restamped = sending.length > 0 ? await restamp(db, sending) : 0;
  if (ids.length === 0) return restamped;
  const exhausted = await killExhausted(db, ids);
  for (const one of exhausted) events.expired(one);
  const unfit = await endUnfitIds(db, ids);
  events.unfit(unfit);
  return restamped + exhausted.length + unfit.length + (await restamp(db, ids));
}
