// OutboxPort in memory, for tests of applications. It passes the same conformance suite as src/store/postgres.ts.

import { createMemoryKeys } from './memory-keys.ts';
import {
  byUrgency,
  chosen,
  claim,
  expire,
  finish,
  inTurns,
  isClaimable,
  type MemoryMessage,
} from './memory-message.ts';
import { checkMessage, type CheckedMessage, type Enqueued, type NewMessage } from '../message/message.ts';
import type { Settlement } from '../message/outcome.ts';
import type { Savepoint } from '../db/transaction.ts';
import { type OutboxPort, type Settled, checkClaimRequest, checkFailOptions } from '../outbox/port.ts';
import { WaybillError } from '../errors.ts';
import { checkClaim, newId } from '../message/id.ts';
import { failedWith } from './failed.ts';
import { isAllowed } from '../message/transitions.ts';

export type MemoryOutbox = OutboxPort & {
  readonly messages: readonly MemoryMessage[];
  /** Begins a transaction, for actions without Postgres (invariant A). */
  begin(): MemoryTransaction;
};

export type MemoryTransaction = {
  /** Its recorded messages are in `messages` from the commit on. */
  readonly outbox: OutboxPort;
  /** Undoing it removes the messages recorded since. */
  savepoint(): Savepoint;
  commit(): void;
};

/** @param now the clock, in milliseconds since 1970; default: the system's */
// oxlint-disable-next-line max-lines-per-function -- one small function for each method of the port
export function createMemoryOutbox(now: () => number = Date.now): MemoryOutbox {
  if (typeof now !== 'function')
    throw new WaybillError(
      'options_invalid',
      'createMemoryOutbox takes a clock: a function that gives milliseconds',
    );
  const messages: MemoryMessage[] = [];
  const keys = createMemoryKeys(now);

  /** @param into the uncommitted messages of a transaction; default: the committed ones */
  function add(checked: CheckedMessage, into = messages): Enqueued {
    const holder = [...messages, ...into].find((m) => holdsKeyOf(m, checked));
    if (holder) return { id: holder.id, status: holder.status, duplicate: true };
    const { json, availableAt, ...rest } = checked;
    const createdAt = new Date(now());
    const message: MemoryMessage = {
      ...rest,
      id: newId(),
      payload: JSON.parse(json),
      status: 'pending',
      attempts: 0,
      expirations: 0,
      createdAt,
      availableAt: availableAt ?? createdAt,
      claimToken: null,
      claimedBy: null,
      claimedUntil: null,
      prefetched: null,
      lostBy: null,
      lastError: null,
      notes: [],
    };
    into.push(message);
    return { id: message.id, status: 'pending', duplicate: false };
  }

  function enqueueInto(into: MemoryMessage[]): OutboxPort['enqueue'] {
    async function enqueue(message: NewMessage): Promise<Enqueued>;
    async function enqueue(given: readonly NewMessage[]): Promise<Enqueued[]>;
    async function enqueue(given: NewMessage | readonly NewMessage[]): Promise<Enqueued | Enqueued[]> {
      if (!Array.isArray(given)) return add(checkMessage(given as NewMessage), into);
      return (given as readonly NewMessage[]).map((m) => checkMessage(m)).map((m) => add(m, into));
    }
    return enqueue;
  }

  function begin(): MemoryTransaction {
    const staged: MemoryMessage[] = [];
    const stagedKeys = keys.begin();
    const cancelled: MemoryMessage[] = [];
    async function cancel(id: string): Promise<boolean> {
      const message = waiting(id, [...messages, ...staged]);
      if (!message || cancelled.includes(message)) return false;
      cancelled.push(message);
      return true;
    }
    const within: OutboxPort = {
      ...outbox,
      enqueue: enqueueInto(staged),
      once: stagedKeys.once,
      cancel,
      on: () => within,
    };
    return {
      outbox: within,
      savepoint() {
        const before = [staged.length, cancelled.length] as const;
        const takeBack = stagedKeys.savepoint();
        return {
          keep: async () => undefined,
          async undo() {
            [staged.length, cancelled.length] = before;
            takeBack();
          },
        };
      },
      commit() {
        // Of two transactions with the same delivery key, the first to commit gets it.
        messages.push(...staged.filter((m) => !messages.some((held) => holdsKeyOf(held, m))));
        for (const message of cancelled) message.status = 'cancelled';
        stagedKeys.commit();
      },
    };
  }

  async function settle(settlements: readonly Settlement[]): Promise<Settled[]> {
    const added = settlements.flatMap((s) =>
      s.to === 'delivered' ? s.then.map((m) => checkMessage({ ...m, parentId: s.id })) : [],
    );
    const settled = settlements.flatMap((settlement) => {
      const message = messages.find((m) => m.id === settlement.id);
      if (!message || message.claimToken !== settlement.claimToken || !isAllowed('deliver', message.status))
        return [];
      finish(message, settlement, now());
      const { id, status, createdAt } = message;
      return [{ id, status, seconds: (now() - createdAt.getTime()) / 1000 }];
    });
    for (const child of added) if (settled.some((s) => s.id === child.parentId)) add(child);
    return settled;
  }

  const outbox: MemoryOutbox = {
    messages,
    enqueue: enqueueInto(messages),
    begin,
    settle,
    once: keys.once,
    async cancel(id) {
      const message = waiting(id, messages);
      if (message) message.status = 'cancelled';
      return message !== undefined;
    },
    on: () => outbox,
    async claimBatch(request) {
      checkClaimRequest(request);
      const due = inTurns(messages.filter((m) => isClaimable(m, request, now())).toSorted(byUrgency));
      return chosen(due, request).map((message, place) => claim(message, request, place, now()));
    },
    async markDelivered(id, claimToken, then = []) {
      checkClaim('markDelivered', id, claimToken);
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
      return lapsed.slice(0, limit).map((message) => expire(message, messages, now()));
    },
  };
  return outbox;
}

type Keyed = Pick<MemoryMessage, 'kind' | 'name' | 'deliveryKey'>;

function waiting(id: string, among: readonly MemoryMessage[]): MemoryMessage | undefined {
  return among.find((message) => message.id === id && isAllowed('cancel', message.status));
}

function holdsKeyOf(held: MemoryMessage, message: Keyed): boolean {
  if (message.deliveryKey === undefined || held.status === 'dead' || held.status === 'cancelled')
    return false;
  return held.kind === message.kind && held.name === message.name && held.deliveryKey === message.deliveryKey;
}
