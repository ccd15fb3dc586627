// Recreates pg-boss's schema when a step finds it missing or incomplete. No message is lost: the relay announces due messages again.

import type { Milliseconds } from '../ports.ts';
import type { WakeUpQueue } from './boss.ts';
import { QueueBroken } from './instance.ts';

/** Wraps a step. If it finds the queue broken, the schema is recreated; the step still fails, because its work is not done. */
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
