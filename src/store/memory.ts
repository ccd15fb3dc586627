// OutboxPort in memory, for tests of applications. It passes the same conformance suite as src/store/postgres.ts.

import { createMemoryKeys } from './memory-keys.ts';
import {
  byUrgency,
  chosen,
  claim,
  expire,
  finish,
  isClaimable,
  type MemoryMessage,
} from './memory-message.ts';
import { checkMessage, type CheckedMessage, type Enqueued, type NewMessage } from '../message/message.ts';
import type { Settlement } from '../message/outcome.ts';
import type { Savepoint } from '../db/transaction.ts';
import { type OutboxPort, type Settled, checkClaimRequest, checkFailOptions } from '../outbox/port.ts';
import { WaybillError } from '../errors.ts';
import { checkClaim } from '../message/id.ts';
import { failedWith } from './failed.ts';
import { isAllowed } from '../message/transitions.ts';
import { withoutReplace } from '../message/duplicate.ts';
import { advance } from './memory-order.ts';
import { commitTo, endOlder, hasKeyOf, recordingOf, type Recording } from './memory-record.ts';

/** An outbox in memory, for tests: its messages can be seen. */
export type MemoryOutbox = OutboxPort & {
  /** All messages, in the order of their recording. */
  readonly messages: readonly MemoryMessage[];
  /** Begins a transaction, for actions without Postgres (invariant A). */
  begin(): MemoryTransaction;
  /** Makes a dead or cancelled message due again, as an operator does. False, and nothing changed, when it is neither, or another message has its delivery key. */
  retry(id: string): boolean;
};

/** A transaction of an outbox in memory. Without a commit it changes nothing. */
export type MemoryTransaction = {
  /** Its recorded messages are in `messages` from the commit on. */
  readonly outbox: OutboxPort;
  /** Undoing it removes the messages recorded since. */
  savepoint(): Savepoint;
  /** Adds its messages to those of the outbox. */
  commit(): void;
};

/**
 * Creates an outbox in memory, for tests without Postgres.
 * @param now the clock, in milliseconds since 1970; default: the system's
 * @throws WaybillError `options_invalid` when the clock is no function
 */
// oxlint-disable-next-line max-lines-per-function -- one small function for each method of the port
export function createMemoryOutbox(now: () => number = Date.now): MemoryOutbox {
  if (typeof now !== 'function')
    throw new WaybillError(
      'options_invalid',
      'createMemoryOutbox takes a clock: a function that gives milliseconds',
    );
  const messages: MemoryMessage[] = [];
  const keys = createMemoryKeys(now);

  function add(checked: CheckedMessage): Enqueued {
    const recording = recordingOf(checked, messages, now());
    commitTo(messages, recording);
    return recording.answer;
  }

  function enqueueBy(record: (checked: CheckedMessage) => Enqueued): OutboxPort['enqueue'] {
    async function enqueue(message: NewMessage): Promise<Enqueued>;
    async function enqueue(given: readonly NewMessage[]): Promise<Enqueued[]>;
    async function enqueue(given: NewMessage | readonly NewMessage[]): Promise<Enqueued | Enqueued[]> {
      if (!Array.isArray(given)) return record(checkMessage(given as NewMessage));
      return (given as readonly NewMessage[]).map((m) => checkMessage(m)).map((m) => record(m));
    }
    return enqueue;
  }

  function begin(): MemoryTransaction {
    const staged: Staged[] = [];
    const stagedKeys = keys.begin();
    function record(checked: CheckedMessage): Enqueued {
      const recording = recordingOf(checked, seenWith(messages, staged), now());
      if (!recording.answer.duplicate || recording.replace) staged.push({ recording });
      return recording.answer;
    }
    async function cancel(id: string): Promise<boolean> {
      const message = waiting(id, seenWith(messages, staged));
      if (message) staged.push({ cancelled: message });
      return message !== undefined;
    }
    const within: OutboxPort = {
      ...outbox,
      enqueue: enqueueBy(record),
      once: stagedKeys.once,
      cancel,
      on: () => within,
    };
    return {
      outbox: within,
      savepoint() {
        const before = staged.length;
        const takeBack = stagedKeys.savepoint();
        return {
          keep: async () => undefined,
          async undo() {
            staged.length = before;
            takeBack();
          },
        };
      },
      commit() {
        for (const { recording, cancelled } of staged) {
          if (recording) commitTo(messages, recording);
          if (!cancelled) continue;
          cancelled.status = 'cancelled';
          advance(messages, cancelled);
        }
        stagedKeys.commit();
      },
    };
  }

  async function settle(settlements: readonly Settlement[]): Promise<Settled[]> {
    const added = settlements.flatMap((s) =>
      s.to === 'delivered'
        ? s.then.map((m) => withoutReplace(checkMessage({ ...m, parentId: s.id }, Infinity)))
        : [],
    );
    const settled = settlements.flatMap((settlement) => {
      const message = messages.find((m) => m.id === settlement.id);
      if (!message || message.claimToken !== settlement.claimToken || !isAllowed('deliver', message.status))
        return [];
      finish(message, settlement, now());
      advance(messages, message);
      const { id, status, createdAt } = message;
      return [{ id, status, seconds: (now() - createdAt.getTime()) / 1000 }];
    });
    for (const child of added) if (settled.some((s) => s.id === child.parentId)) add(child);
    return settled;
  }

  const outbox: MemoryOutbox = {
    messages,
    enqueue: enqueueBy(add),
    begin,
    settle,
    once: keys.once,
    async cancel(id) {
      const message = waiting(id, messages);
      if (!message) return false;
      message.status = 'cancelled';
      advance(messages, message);
      return true;
    },
    retry(id) {
      const message = messages.find((m) => m.id === id && isAllowed('retry', m.status));
      if (!message || messages.some((m) => hasKeyOf(m, message))) return false;
      const isBehind = message.orderKey !== undefined;
      const again = { status: 'pending', attempts: 0, wasClaimed: true } as const;
      Object.assign(message, { ...again, availableAt: new Date(now()), isBehind });
      advance(messages, message);
      return true;
    },
    on: () => outbox,
    async claimBatch(request) {
      checkClaimRequest(request);
      endOlder(messages);
      const due = messages.filter((m) => isClaimable(m, request, now())).toSorted(byUrgency);
      return chosen(due, request).map((message, place) => claim(message, request, place, now()));
    },
    async hasDue(queue) {
      return messages.some((m) => isClaimable(m, { queues: [queue] }, now()));
    },
    async markDelivered(id, claimToken, then = []) {
      checkClaim('markDelivered', id, claimToken);
      for (const message of then) checkMessage(message);
      return (await settle([{ id, claimToken, to: 'delivered', then }])).length === 1;
    },
    async markFailed(id, claimToken, error, options = {}) {
      checkFailOptions(options);
      checkClaim('markFailed', id, claimToken);
      return (await settle([failedWith({ id, claimToken }, error, options)])).length === 1;
    },
    async extend(claims, leaseMs) {
      const held = messages.filter((m) => claims.some((c) => c.id === m.id && c.claimToken === m.claimToken));
      for (const message of held) {
        message.claimedUntil = new Date(now() + leaseMs);
        message.prefetched &&= false;
      }
      return held.map((m) => m.id);
    },
    async expire(limit) {
      const isLapsed = (m: MemoryMessage) =>
        isAllowed('expire', m.status) && m.claimedUntil!.getTime() < now();
      const lapsed = messages.filter(isLapsed);
      const ended = lapsed.slice(0, limit).map((message) => {
        const expired = expire(message, messages, now());
        advance(messages, message);
        return expired;
      });
      endOlder(messages); // after the leases: an older message that was being sent has ended
      return ended;
    },
  };
  return outbox;
}

/** What a transaction does to messages at its commit. */
type Staged = { readonly recording?: Recording; readonly cancelled?: MemoryMessage };

/** The messages that a transaction sees. */
function seenWith(messages: readonly MemoryMessage[], staged: readonly Staged[]): MemoryMessage[] {
  const added = staged.flatMap(({ recording: one }) => (one && !one.answer.duplicate ? [one.message] : []));
  const cancelled = new Set(staged.map((one) => one.cancelled));
  return [...messages, ...added].filter((message) => !cancelled.has(message));
}

function waiting(id: string, among: readonly MemoryMessage[]): MemoryMessage | undefined {
  return among.find((message) => message.id === id && isAllowed('cancel', message.status));
}
