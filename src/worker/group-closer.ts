// Holds, parks and opens the group of a message when an attempt ends (src/queues/circuit.ts). This happens before the attempt is settled, so a message that is
// due again finds its group held.

import type { Executor } from '../db/executor.ts';
import type { Transactions } from '../db/transaction.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Events } from '../metrics/events.ts';
import type { OutboxPort } from '../outbox/port.ts';
import {
  failGroup,
  holdGroup,
  openGroup,
  parkGroup,
  type Failed,
  type GroupEnd,
  type GroupFailing,
} from '../queues/circuit.ts';

export type GroupCloserPorts = {
  readonly db: Executor & Transactions;
  readonly events: Events;
  /** For the message to the owner of a group that is parked. */
  readonly outboxOn: (tx: Executor) => OutboxPort;
};

/** Never rejects: if the group cannot be held or opened, the end of the next delivery does it. */
export type GroupEnded = (message: ClaimedMessage, end: GroupEnd) => Promise<void>;

export function createGroupCloser({ db, events, outboxOn }: GroupCloserPorts): GroupEnded {
  type Of = { readonly queue: string; readonly group: string };

  /** The parking and the message to the owner commit together. */
  async function parkOf(of: Of, failed: Failed, end: GroupFailing): Promise<void> {
    const isParked = await db.transaction(async (tx) => {
      if (!(await parkGroup(tx, of, end.reason))) return false;
      const told = end.parked(failed);
      if (told) await outboxOn(tx).enqueue(told);
      return true;
    });
    if (isParked) events.groupParked(of, end.reason, failed.failures);
  }

  async function ended(of: Of, message: string, end: GroupEnd): Promise<void> {
    if (end.isOk) {
      if (await openGroup(db, of)) events.groupOpened(of);
      return;
    }
    if (end.isHung) {
      const ms = await holdGroup(db, { ...of, message }, end);
      if (ms !== undefined) events.groupHeld(of, end.reason, ms);
      return;
    }
    const failed = await failGroup(db, { ...of, message }, end);
    if (failed?.isToPark) await parkOf(of, failed, end);
    else if (failed && failed.heldMs > 0) events.groupHeld(of, end.reason, failed.heldMs);
  }

  return async ({ id, queue, group }, end) => {
    if (group === null || group === undefined) return;
    try {
      await ended({ queue, group }, id, end);
    } catch (error) {
      events.gateFailed(queue, error);
    }
  };
}
