// Closes and reopens a queue when an attempt ends. An operator failure parks it; a provider that asks all senders to wait holds it; a probe's end
// decides whether it stays parked. The queue is closed before the attempt is settled, so a message that is due again finds it closed.

import type { ClaimedMessage } from '../message/message.ts';
import type { Failure, Outcome, ProbeEnd, Settlement } from '../message/outcome.ts';
import { giveBackProbe, hold, park, probeFailed, reopen } from '../queues/park.ts';
import { holdDelay } from '../message/backoff.ts';
import { cleanError } from '../redaction/redact.ts';
import { closes } from './end.ts';
import { createGroupCloser, type GroupCloserPorts, type GroupEnded } from './group-closer.ts';

export type QueueCloser = {
  /**
   * Gives the settlement to write for an end that concerns its queue (end.ts). Never rejects: if the queue cannot be closed, the next failure closes it.
   * @param own the settlement if the operator failure is the message's own fault
   */
  judge(
    message: ClaimedMessage,
    outcome: Outcome,
    settlement: Settlement,
    own: (failure: Failure) => Settlement,
  ): Promise<Settlement>;
  readonly groupEnded: GroupEnded;
};

export type QueueCloserPorts = GroupCloserPorts & { readonly workerId: string };

export function createQueueCloser({ db, events, workerId, outboxOn }: QueueCloserPorts): QueueCloser {
  /** @returns whether the failure is the message's own fault */
  async function met({ id, queue, probe }: ClaimedMessage, failure: Failure): Promise<boolean> {
    const about = { reason: cleanError(failure.message), message: id, maybeOwn: failure.maybeOwn === true };
    if (probe) {
      const nextMs = await probeFailed(db, queue, about);
      if (nextMs !== undefined) events.probed(queue, 'failed', { reason: about.reason, nextMs });
      return false;
    }
    const end = await park(db, queue, { ...about, worker: workerId });
    if (end === 'parked') events.parked(queue, about.reason);
    return end === 'own';
  }

  async function answered({ id, queue, probe }: ClaimedMessage, failure: Failure | undefined): Promise<void> {
    if (probe && (await reopen(db, queue, id))) events.probed(queue, 'answered', {});
    if (!failure?.holdsQueue) return;
    const ms = holdDelay(failure.retryAfter);
    const reason = cleanError(failure.message);
    if (await hold(db, queue, ms, reason)) events.held(queue, reason, ms);
  }

  /** Of a probe, because no other released attempt is judged (end.ts). */
  async function released(message: ClaimedMessage, end: ProbeEnd | undefined): Promise<void> {
    if (end === undefined) await giveBackProbe(db, message.queue, message.id);
    else if (end === 'answered') await answered(message, undefined);
    else await met(message, { type: 'operator', message: end.failed });
  }

  return {
    groupEnded: createGroupCloser({ db, events, outboxOn }),
    async judge(message, outcome, settlement, own) {
      const failure = outcome.type === 'failure' ? outcome.failure : undefined;
      try {
        if (failure?.type === 'operator') {
          if (await met(message, failure)) return own({ ...failure, type: 'transient' });
        } else if (outcome.type === 'released') await released(message, outcome.probe);
        else await answered(message, failure);
      } catch (error) {
        events.gateFailed(message.queue, error);
        return settlement; // with its own delay
      }
      if (!failure || !closes(failure) || settlement.to !== 'released') return settlement;
      // The queue waits now, not the message. A probe records no error: a long outage must not leave a row for each probe.
      return { ...settlement, delay: 0, error: message.probe ? null : settlement.error };
    },
  };
}

/** Without a fleet no queue is closed. A message that met an operator failure only waits before it is due again. */
export const closesNothing: QueueCloser = {
  judge: async (_, __, settlement) => settlement,
  groupEnded: async () => undefined,
};
