// Marks: what was prefetched begins when the database knows it (src/outbox/begun.ts). One statement for all that begins together.

import type { Executor } from '../db/executor.ts';
import { markBegun } from '../outbox/begun.ts';
import type { ClaimedMessage } from '../outbox/message.ts';

export type Marks = {
  /** Resolves when these may begin. */
  mark(messages: readonly ClaimedMessage[]): Promise<void>;
  /** Its end is recorded. */
  ended(message: ClaimedMessage): void;
};

/** @param part tells the workers of one process apart */
export function createMarks(db: Executor, worker: string, part: string): Marks {
  const begun = new Map<ClaimedMessage, string>(); // prefetched, and may be under way
  return {
    async mark(messages) {
      for (const message of messages) begun.set(message, message.id);
      await markBegun(db, { worker, part }, begun.values());
    },
    ended: (message) => void begun.delete(message),
  };
}
