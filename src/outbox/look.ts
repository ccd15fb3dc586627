// A look at the outbox: one statement that asks for the relay and the sweep whether there is anything for them to do. An idle relay asks nothing else.

import type { Executor } from '../db/executor.ts';
import type { Clock, Milliseconds } from '../ports.ts';
import { isOpen } from './closed.ts';
import { hasLapsed } from './expire.ts';
import { isDue, places } from './waiting.ts';

export type Look = {
  /** Something is due in an open queue. */
  readonly due: boolean;
  /** A lease ran out, or a row was edited so that nothing would look at it again. */
  readonly lapsed: boolean;
};

export const lookSql = `
  with recursive ${places}
  select exists (select from place where ${isOpen('place.queue')} and ${isDue('place.queue', 'place.priority')}) as due, ${hasLapsed} as lapsed`;

/** Those who ask within `freshMs` of one another share a look. */
export function createLook(db: Executor, clock: Clock, freshMs: Milliseconds): () => Promise<Look> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Promise<Look> | undefined;
  const ask = async (): Promise<Look> => (await db.executeSql<Look>(lookSql)).rows[0]!;
  return async () => {
    if (last === undefined || clock.now() - at >= freshMs) {
      at = clock.now();
      last = ask();
      last.catch(() => (last = undefined));
    }
    return last;
  };
}
