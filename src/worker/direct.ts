// Claims without pg-boss: whatever is due, straight from the outbox. A worker falls back on it when pg-boss's schema or its database fails, so
// that their loss delays nothing (DESIGN). Limits and rates of queues hold here too.

import { settingOf } from '../db/executor.ts';
import type { Clock, Milliseconds, Observe } from '../ports.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import { QueueBroken } from '../queue/broken.ts';
import type { Isolation } from '../process/isolation.ts';
import type { Alone } from './alone.ts';
import type { ClaimPorts } from './claim.ts';
import type { Limits } from './limits.ts';
import type { Shortcut } from './shortcut.ts';
import type { Slots } from './slots.ts';
import type { Turn } from './turn.ts';

export type DirectPorts = {
  readonly queues: readonly string[];
  readonly slots: Slots;
  readonly claims: ClaimPorts;
  readonly limits: Limits;
  readonly shortcut: Pick<Shortcut, 'asked'>;
  readonly isolation: Pick<Isolation, 'admits' | 'asks' | 'answered'>;
  readonly alone: Pick<Alone, 'claim' | 'isRunning'>;
  readonly start: (message: ClaimedMessage, since: Milliseconds, turn: Turn | undefined) => void;
  readonly clock: Clock;
  readonly observe: Observe;
};

/** pg-boss's schema or its database is at fault, and the outbox may be in order. */
const isQueues = (error: unknown): boolean =>
  error instanceof QueueBroken || settingOf(error) === 'QUEUE_DATABASE_URL';

/** The worker's step. Where pg-boss fails it, the step claims without it, and has failed all the same: it is no progress. */
export function orDirectly(
  step: () => Promise<Milliseconds>,
  ports: DirectPorts,
): () => Promise<Milliseconds> {
  return async () => {
    try {
      return await step();
    } catch (error) {
      if (isQueues(error) && !ports.alone.isRunning()) await claimAll(ports);
      throw error;
    }
  };
}

/** Suspects are claimed when nothing is in flight. */
async function claimAll(ports: DirectPorts): Promise<void> {
  const { alone, observe } = ports;
  const messages = await claimSome(ports, false);
  observe('claimed', { direct: true, messages });
  if (messages === 0) await alone.claim(() => claimSome(ports, true)).catch(() => 0); // the error that counts is the queue's
}

/** @returns how many began */
async function claimSome(ports: DirectPorts, suspects: boolean): Promise<number> {
  const { queues, clock, start, slots, shortcut, isolation } = ports;
  let began = 0;
  for (const queue of queues) {
    const free = suspects ? 1 - began : Math.max(0, slots.free() - shortcut.asked());
    const limit = limitOf(queue, ports, free);
    if (limit <= 0 || !(suspects || isolation.admits(queue))) continue;
    isolation.asks();
    const since = clock.now();
    const { messages, turns } = await claimFrom(queue, limit, suspects, ports.claims).finally(
      isolation.answered,
    );
    messages.forEach((message, i) => start(message, since, turns[i]));
    began += messages.length;
  }
  return began;
}

/** Were all that it brings of the job with the least room, they could start. */
function limitOf(queue: string, { limits }: DirectPorts, free: number): number {
  return Math.min(free, ...(limits.room(queue)?.values() ?? []));
}

async function claimFrom(queue: string, limit: number, suspects: boolean, claims: ClaimPorts) {
  const { db, outboxOn, leaseMs, workerId, turns } = claims;
  return db.transaction(async (tx) => {
    const booking = await turns?.get(queue)?.(tx, limit);
    const count = booking?.count ?? limit;
    const request = { limit: count, leaseMs, workerId, queues: [queue], suspects };
    const messages = await outboxOn(tx).claimBatch(request);
    return { messages, turns: (await booking?.book(messages.length)) ?? [] };
  });
}
