// pg-boss's schema may be dropped at any moment; its loss loses nothing (DESIGN). The relay makes it anew, and what was in it, the sweep finds missing.

import { isMissingSchema } from '../db/diagnosis.ts';
import type { Milliseconds } from '../ports.ts';
import type { ParcelQueue } from '../queue/boss.ts';

/** Runs the step; when the queue's schema is gone, makes it and asks for another run at once. */
export function healing(queue: ParcelQueue, step: () => Promise<Milliseconds>): () => Promise<Milliseconds> {
  return async () => {
    try {
      return await step();
    } catch (error) {
      if (!isMissingSchema(error)) throw error;
      await queue.install();
      return 0;
    }
  };
}
