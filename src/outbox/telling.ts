// One transaction's nudge: it rides with the commit where it can, and goes out after it where it did not.

import type { Rider } from '../db/transaction.ts';
import type { Nudge } from './nudge.ts';

export type Telling = Rider<{ readonly recorded: ReadonlySet<string> }> & {
  /** After the commit. @param recorded the lanes in which something was recorded (src/outbox/hint.ts) */
  tell(recorded: ReadonlySet<string>): void;
};

export function createTelling(nudge: Nudge): Telling {
  let told = false;
  return {
    sql: ({ recorded }) => (recorded.size > 0 ? nudge.riding?.(recorded) : undefined),
    sent: () => void (told = true),
    tell(recorded) {
      if (recorded.size > 0 && !told) nudge(recorded);
    },
  };
}
