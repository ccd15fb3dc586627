// Claims without pg-boss: whatever is due, straight from the outbox. A worker falls back on it when pg-boss's schema or its database fails, so
// that their loss delays nothing (DESIGN). Limits and rates of queues hold here too.

import type { Milliseconds } from '../ports.ts';
import type { ClaimedMessage } from '../outbox/message.ts';
import type { ClaimPorts } from './claim.ts';
import type { Limits } from './limits.ts';
import type { Turn } from './turn.ts';

export type DirectPorts = {
  readonly queues: readonly string[];
  readonly claims: ClaimPorts;
  readonly limits: Limits;
  /** Messages that may start now. */
  readonly free: () => number;
  readonly start: (message: ClaimedMessage, since: Milliseconds, turn: Turn | undefined) => void;
  readonly now: () => Milliseconds;
};

/** @returns how many began */
export async function claimDirectly(ports: DirectPorts, expired: boolean): Promise<number> {
  const { queues, now, start } = ports;
  let began = 0;
  for (const queue of queues) {
    const limit = limitOf(queue, ports, expired ? 1 - began : ports.free());
    if (limit <= 0) continue;
    const since = now();
    const { messages, turns } = await claimFrom(queue, limit, expired, ports.claims);
    messages.forEach((message, i) => start(message, since, turns[i]));
    began += messages.length;
  }
  return began;
}

/** Were all that it brings of the job with the least room, they could start. */
function limitOf(queue: string, { limits }: DirectPorts, free: number): number {
  return Math.min(free, ...(limits.room(queue)?.values() ?? []));
}

async function claimFrom(queue: string, limit: number, expired: boolean, claims: ClaimPorts) {
  const { db, outboxOn, leaseMs, workerId, turns } = claims;
  return db.transaction(async (tx) => {
    const booking = await turns?.get(queue)?.(tx, limit);
    const count = booking?.count ?? limit;
    const messages = await outboxOn(tx).claimBatch({
      limit: count,
      leaseMs,
      workerId,
      queues: [queue],
      expired,
    });
    return { messages, turns: (await booking?.book(messages.length)) ?? [] };
  });
}
