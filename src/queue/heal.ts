// pg-boss's schema, or a part of it, may be gone at any moment; its loss loses nothing (DESIGN). Who meets that makes it anew, and
// the relay announces again what is due.

import type { Milliseconds } from '../ports.ts';
import type { WakeUpQueue } from './boss.ts';
import { QueueBroken } from './instance.ts';

/** The same step. When the queue is broken, it is made anew, and the step has failed all the same: what it was to do is not done. */
export function healing(queue: WakeUpQueue, step: () => Promise<Milliseconds>): () => Promise<Milliseconds> {
  return async () => {
    try {
      return await step();
    } catch (error) {
      if (error instanceof QueueBroken) await queue.install();
      throw error;
    }
  };
}
