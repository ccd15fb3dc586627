// Delivery keys of the outbox in memory: which message has a key, and how a newer message replaces it, as waybill.outbox_replace does.

import { dueOf, type Replace } from '../message/duplicate.ts';
import type { CheckedMessage, Enqueued } from '../message/message.ts';
import { isAllowed } from '../message/transitions.ts';
import { created, type MemoryMessage } from './memory-message.ts';
import { advance, enter } from './memory-order.ts';

/** A message to be recorded. In a transaction it is recorded at the commit. */
export type Recording = {
  readonly message: MemoryMessage;
  readonly replace: Replace | undefined;
  readonly availableAt: number | undefined;
  readonly answer: Enqueued;
};

/** @param among the messages that the recorder sees, oldest first */
export function recordingOf(
  checked: CheckedMessage,
  among: readonly MemoryMessage[],
  now: number,
): Recording {
  const { replace, availableAt } = checked;
  const message = created(checked, now);
  const existing = among.findLast((m) => hasKeyOf(m, message));
  const answer = answerTo(message, existing, replace !== undefined);
  return { message, replace, availableAt: availableAt?.getTime(), answer };
}

function answerTo(message: MemoryMessage, existing: MemoryMessage | undefined, replaces: boolean): Enqueued {
  if (!existing || (replaces && !isUnclaimed(existing)))
    return { id: message.id, status: 'pending', duplicate: false };
  const { id, status } = existing;
  return { id, status, duplicate: true, ...(replaces && { replaced: true }) };
}

/** Adds the message, or changes the one that has its key. Of two transactions with the same key, the first to commit gets it. */
export function commitTo(messages: MemoryMessage[], { message, replace, availableAt }: Recording): void {
  const existing = messages.findLast((m) => hasKeyOf(m, message));
  if (existing && !replace) return;
  if (!existing || !replace || !isUnclaimed(existing)) {
    if (existing?.status === 'delivered') existing.passedKey = true;
    else message.older = existing ?? null;
    messages.push(message);
    return enter(messages, message);
  }
  const { queue, payload, maxAttempts, priority, group, orderKey, onDead, createdAt } = message;
  const { tags, parentId, requestId, traceparent } = message;
  const times = { availableAt: existing.availableAt.getTime(), createdAt: existing.createdAt.getTime() };
  const due = dueOf(replace, times, availableAt, createdAt.getTime());
  const replacements = existing.replacements + 1;
  const content = {
    queue,
    payload,
    maxAttempts,
    priority,
    group,
    orderKey,
    onDead,
    tags,
    parentId,
    requestId,
    traceparent,
  };
  const before = { queue: existing.queue, orderKey: existing.orderKey };
  Object.assign(existing, { ...content, availableAt: new Date(due), replacements });
  if (before.queue === queue && before.orderKey === orderKey) return; // it keeps its place
  enter(messages, existing);
  advance(messages, before);
}

/** Ends the older messages of those that wait for one, as `passKeys` does (src/outbox/replace.ts). */
export function endOlder(messages: readonly MemoryMessage[]): void {
  for (const message of messages) {
    const { older } = message;
    if (older === null || older.status === 'sending' || !isAllowed('claim', message.status)) continue;
    if (isAllowed('cancel', older.status)) {
      older.status = 'cancelled';
      older.lastError = 'superseded: a newer message with its delivery key was recorded';
      advance(messages, older);
    }
    older.passedKey = older.status === 'delivered';
    message.older = null;
  }
}

/** It waits, and no claim has taken it. */
const isUnclaimed = ({ status, wasClaimed }: MemoryMessage): boolean => status === 'pending' && !wasClaimed;

/** Whether a message has the delivery key of another one. One that is dead or cancelled, or passed its key on, has none. */
export function hasKeyOf(held: MemoryMessage, { kind, name, deliveryKey }: MemoryMessage): boolean {
  if (deliveryKey === undefined || held.status === 'dead' || held.status === 'cancelled') return false;
  if (held.passedKey) return false;
  return held.kind === kind && held.name === name && held.deliveryKey === deliveryKey;
}
