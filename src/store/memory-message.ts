// A message of the outbox in memory, with its record, claim, expiry and settlement.

import { randomUUID } from 'node:crypto';
import type { CheckedMessage, ClaimedMessage, Status } from '../message/message.ts';
import type { Note, Settlement } from '../message/outcome.ts';
import type { ClaimRequest, Expired } from '../outbox/port.ts';
import { newId } from '../message/id.ts';
import { isAllowed } from '../message/transitions.ts';

/** A message of an outbox in memory, with the columns that a row has. */
export type MemoryMessage = Omit<CheckedMessage, 'json' | 'availableAt' | 'replace'> & {
  readonly id: string;
  readonly payload: unknown;
  status: Status;
  attempts: number;
  expirations: number;
  availableAt: Date;
  readonly createdAt: Date;
  /** It waits behind another message of its order key (./memory-order.ts). */
  isBehind: boolean;
  /** Its place among the messages of its order key; 0 without one. */
  position: number;
  claimToken: string | null;
  claimedBy: string | null;
  claimedUntil: Date | null;
  /** While `sending`: claimed before a slot was free, and not begun; null: starts are not recorded. */
  prefetched: boolean | null;
  /** The worker of its last expired lease under which it had begun. */
  lostBy: string | null;
  lastError: string | null;
  /** Notes of its delivery, for the timeline. */
  notes: readonly Note[];
  /** A claim has taken it, or it has ended once: its payload does not change any more. */
  wasClaimed: boolean;
  /** An older message with its key: it waits until that one has ended. */
  older: MemoryMessage | null;
  /** It was delivered, and a newer message has its key now. */
  passedKey: boolean;
  /** How often a later recording of its key replaced its payload. */
  replacements: number;
};

/** @param now milliseconds since 1970 */
export function created(checked: CheckedMessage, now: number): MemoryMessage {
  const { json, availableAt, replace, ...rest } = checked;
  const createdAt = new Date(now);
  const debounced = replace?.debounce ? new Date(now + replace.debounce.ms) : createdAt;
  return {
    ...rest,
    id: newId(),
    payload: JSON.parse(json),
    status: 'pending',
    attempts: 0,
    expirations: 0,
    createdAt,
    availableAt: availableAt ?? debounced,
    isBehind: false,
    position: 0,
    claimToken: null,
    claimedBy: null,
    claimedUntil: null,
    prefetched: null,
    lostBy: null,
    lastError: null,
    notes: [],
    wasClaimed: false,
    older: null,
    passedKey: false,
    replacements: 0,
  };
}

export function isClaimable(
  message: MemoryMessage,
  request: Pick<ClaimRequest, 'ids' | 'queues' | 'kinds' | 'suspects'>,
  now: number,
): boolean {
  return (
    isAllowed('claim', message.status) &&
    message.older === null &&
    message.attempts < message.maxAttempts &&
    message.availableAt.getTime() <= now &&
    !message.isBehind &&
    (request.ids?.includes(message.id) ?? true) &&
    (request.queues?.includes(message.queue) ?? true) &&
    (request.kinds?.includes(message.kind) ?? true) &&
    (request.suspects === undefined || request.suspects === isSuspect(message))
  );
}

export function byUrgency(a: MemoryMessage, b: MemoryMessage): number {
  return b.priority - a.priority || a.availableAt.getTime() - b.availableAt.getTime();
}

/** Where groups wait in a queue at a priority, they take turns; messages without a group are one group (src/outbox/claim-groups.ts). */
export function inTurns(due: readonly MemoryMessage[]): MemoryMessage[] {
  const placeOf = ({ queue, priority }: MemoryMessage): string => `${priority} ${queue}`;
  const places = new Map<string, Map<string, number>>();
  const round = new Map<MemoryMessage, number>();
  for (const message of due) {
    const groups = places.get(placeOf(message)) ?? new Map<string, number>();
    places.set(placeOf(message), groups);
    const before = groups.get(message.group ?? '') ?? 0;
    groups.set(message.group ?? '', before + 1);
    round.set(message, before);
  }
  const turn = (message: MemoryMessage): number =>
    places.get(placeOf(message))!.size > 1 ? round.get(message)! : 0;
  return due.toSorted((a, b) => b.priority - a.priority || turn(a) - turn(b)); // stable: by due time within a round
}

/** The messages that a claim takes: a message on its last attempt is not prefetched, and of each queue's suspects only one, after all others. */
export function chosen(due: readonly MemoryMessage[], { limit, begins }: ClaimRequest): MemoryMessage[] {
  const most = Math.max(0, limit);
  const mayWait = ({ attempts, maxAttempts }: MemoryMessage): boolean => attempts + 1 < maxAttempts;
  const others = inTurns(due.filter((message) => !isSuspect(message)))
    .slice(0, most)
    .filter((message, place) => begins === undefined || place < begins || mayWait(message));
  const suspects = due
    .filter(isSuspect)
    .toSorted((a, b) => a.availableAt.getTime() - b.availableAt.getTime());
  const alone = suspects.filter(({ queue }, i) => suspects.findIndex((one) => one.queue === queue) === i);
  return [...others, ...alone.slice(0, most - others.length)];
}

/** Its lease expired twice, or once with one attempt left: it runs alone (src/outbox/waiting.ts). */
const isSuspect = ({ expirations }: MemoryMessage): boolean => expirations > 1;

/** @param place position in the claim */
export function claim(
  message: MemoryMessage,
  request: ClaimRequest,
  place: number,
  now: number,
): ClaimedMessage {
  message.status = 'sending';
  message.wasClaimed = true;
  message.attempts += 1;
  message.claimToken = randomUUID();
  message.claimedBy = request.workerId;
  message.claimedUntil = new Date(now + request.leaseMs);
  message.prefetched = prefetchedAt(message, request, place);
  const { payload, attempts: attempt, claimToken, createdAt } = message;
  const { group = null, orderKey = null, tags = null } = message;
  const prefetched = message.prefetched === true;
  return { ...factsOf(message), payload, attempt, claimToken, createdAt, group, orderKey, tags, prefetched };
}

/** A suspect begins at once, because it is claimed for a worker that has nothing else. */
function prefetchedAt(message: MemoryMessage, { begins }: ClaimRequest, place: number): boolean | null {
  if (isSuspect(message)) return false;
  return begins === undefined ? null : place >= begins;
}

function factsOf({ id, kind, name, queue, maxAttempts, ...message }: MemoryMessage) {
  const { deliveryKey = null, requestId = null, traceparent = null } = message;
  return { id, kind, name, queue, maxAttempts, deliveryKey, requestId, traceparent };
}

/** Whether the worker lost other messages that had begun: any of them may have crashed it. */
function hadCompany(message: MemoryMessage, among: readonly MemoryMessage[]): boolean {
  const its = message.claimedBy;
  return among.some((m) => m !== message && (m.lostBy === its || (m.claimedBy === its && !m.prefetched)));
}

/** Follows `expireSql` (src/outbox/expire.ts), except that earlier losses of the worker count for longer than 5 minutes. */
export function expire(message: MemoryMessage, among: readonly MemoryMessage[], now: number): Expired {
  const unbegun = message.prefetched === true;
  const error = `the lease ran out${unbegun ? ' before the delivery began' : ''}: the worker ${message.claimedBy} died or stood still`;
  const isLast =
    !unbegun &&
    message.attempts >= message.maxAttempts &&
    (message.prefetched === null || message.expirations > 0 || !hadCompany(message, among));
  const status = isLast ? 'dead' : 'failed';
  if (unbegun) message.attempts -= 1;
  else if (!isLast) message.attempts = Math.min(message.attempts, message.maxAttempts - 1);
  if (!unbegun) message.lostBy = message.claimedBy;
  const availableAt = status === 'dead' ? message.availableAt : new Date(now);
  const free = { claimToken: null, claimedBy: null, claimedUntil: null, prefetched: null };
  Object.assign(message, { ...free, status, availableAt, lastError: error });
  message.expirations += 1;
  if (message.attempts + 1 >= message.maxAttempts) message.expirations = Math.max(2, message.expirations);
  const { attempts } = message;
  return { ...factsOf(message), attempts, status, error, cause: status === 'dead' ? 'expired' : null };
}

export function finish(message: MemoryMessage, settlement: Settlement, now: number): void {
  message.claimToken = message.claimedBy = message.claimedUntil = message.prefetched = null;
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
