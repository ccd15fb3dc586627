// Checks with one statement whether the relay or the sweep has work. An idle relay runs nothing else.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { grouped, isDue, isOpen, places, ungrouped, type Part } from '../outbox/waiting.ts';
import { hasLapsed } from '../outbox/expire.ts';
import { hasLateOrders } from '../outbox/order.ts';
import { hasBulk } from '../operate/bulk-work.ts';

export type Check = {
  /** Something is due in an open queue. */
  readonly due: boolean;
  /** A lease ran out, or a row was edited by hand so that only the sweep finds it. */
  readonly lapsed: boolean;
  /** A bulk act is running. */
  readonly bulk: boolean;
};

const isPlaceDue = (part: Part): string => isDue('place.queue', 'place.priority', part);

export const checkSql = `
  with recursive ${places}
  select exists (select from place where ${isOpen('place.queue')} and (${isPlaceDue(ungrouped)} or ${isPlaceDue(grouped)})) as due,
         ${hasLapsed} or ${hasLateOrders} as lapsed, ${hasBulk} as bulk`;

/** Calls within `freshMs` share an answer. */
export function createCheck(db: Executor, clock: Clock, freshMs: Milliseconds): () => Promise<Check> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Promise<Check> | undefined;
  const ask = async (): Promise<Check> => (await db.executeSql<Check>(checkSql)).rows[0]!;
  return async () => {
    if (last === undefined || clock.now() - at >= freshMs) {
      at = clock.now();
      last = ask();
      last.catch(() => (last = undefined));
    }
    return last;
  };
}
