// A message of the outbox in memory, and what claiming, expiring and settling do to it.

import { randomUUID } from 'node:crypto';
import type { CheckedMessage, ClaimedMessage, Status } from './message.ts';
import type { Note, Settlement } from './outcome.ts';
import type { ClaimRequest, Expired } from './port.ts';
import { isAllowed } from './transitions.ts';

export type MemoryMessage = Omit<CheckedMessage, 'json' | 'availableAt'> & {
  readonly id: string;
  readonly payload: unknown;
  status: Status;
  attempts: number;
  /** Attempts that ended with their lease. */
  expirations: number;
  availableAt: Date;
  readonly createdAt: Date;
  claimToken: string | null;
  claimedBy: string | null;
  claimedUntil: Date | null;
  lastError: string | null;
  /** What its delivery noted for its timeline. */
  notes: readonly Note[];
};

export function isClaimable(message: MemoryMessage, request: ClaimRequest, now: number): boolean {
  return (
    isAllowed('claim', message.status) &&
    message.attempts < message.maxAttempts &&
    message.availableAt.getTime() <= now &&
    (request.ids?.includes(message.id) ?? true) &&
    (request.queues?.includes(message.queue) ?? true) &&
    (request.kinds?.includes(message.kind) ?? true) &&
    (request.expired === undefined || request.expired === message.expirations > 0)
  );
}

export function byUrgency(a: MemoryMessage, b: MemoryMessage): number {
  return b.priority - a.priority || a.availableAt.getTime() - b.availableAt.getTime();
}

export function claim(message: MemoryMessage, request: ClaimRequest, now: number): ClaimedMessage {
  message.status = 'sending';
  message.attempts += 1;
  message.claimToken = randomUUID();
  message.claimedBy = request.workerId;
  message.claimedUntil = new Date(now + request.leaseMs);
  const { id, kind, name, queue, payload, maxAttempts, claimToken, createdAt } = message;
  const { deliveryKey = null, requestId = null, traceparent = null } = message;
  return {
    id,
    kind,
    name,
    queue,
    payload,
    attempt: message.attempts,
    maxAttempts,
    claimToken,
    deliveryKey,
    requestId,
    traceparent,
    createdAt,
  };
}

export function expire(message: MemoryMessage, now: number): Expired {
  const error = `the lease ran out: the worker ${message.claimedBy} died or stood still`;
  const status = message.attempts >= message.maxAttempts ? 'dead' : 'failed';
  const availableAt = status === 'dead' ? message.availableAt : new Date(now);
  const free = { claimToken: null, claimedBy: null, claimedUntil: null };
  Object.assign(message, { ...free, status, availableAt, lastError: error });
  message.expirations += 1;
  const { id, kind, name, queue, attempts, maxAttempts } = message;
  const { deliveryKey = null, requestId = null, traceparent = null } = message;
  const about = { id, kind, name, queue, attempts, maxAttempts, deliveryKey, requestId, traceparent };
  return { ...about, status, error, cause: status === 'dead' ? 'expired' : null };
}

export function finish(message: MemoryMessage, settlement: Settlement, now: number): void {
  message.claimToken = message.claimedBy = message.claimedUntil = null;
  if (settlement.to === 'delivered') message.lastError = null;
  else if (settlement.error !== null) message.lastError = settlement.error;
  if (settlement.to === 'released') message.attempts -= 1;
  message.status = endOf(message, settlement);
  if (settlement.to === 'delivered') message.notes = settlement.notes ?? [];
  if (message.status === 'failed' || message.status === 'pending')
    message.availableAt = new Date(now + ('delay' in settlement ? settlement.delay : 0));
}

function endOf(message: MemoryMessage, settlement: Settlement): Status {
  if (settlement.to === 'released') return message.attempts === 0 ? 'pending' : 'failed';
  if (settlement.to === 'failed' && message.attempts >= message.maxAttempts) return 'dead';
  return settlement.to;
}
