// Tells the application how each message of a drain ended. The events hold no payload and no whole address.

import type { AttemptEnd, ReportedMessage } from '../metrics/attempt-end.ts';
import type { Expired } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';

/** What an event of a drain says about its message: no payload, and no whole address. */
export type DrainedMessage = {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly queue: string;
  /** 1 for the first. */
  readonly attemptCount: number;
  readonly maxAttempts: number;
  readonly deliveryKey: string | null;
  /** From the request that recorded the message. */
  readonly requestId: string | null;
  /** From the trace that recorded the message. */
  readonly traceId: string | null;
};

/** What every event of a drain says. `requestId` and `traceId` are those of the drain. */
export type EventFacts = {
  readonly requestId: string;
  readonly traceId: string;
  readonly message: DrainedMessage;
};

/** A message was delivered. */
export type DeliveredEvent = EventFacts & { readonly durationMs: Milliseconds };
/** An attempt failed, and another one follows. */
export type RetriedEvent = EventFacts & {
  readonly durationMs: Milliseconds;
  /** Addresses are masked. */
  readonly error: string;
  readonly nextAttemptInMs: Milliseconds;
  readonly nextAttemptAt: Date;
};
/** A message is dead: no attempt follows. */
export type DeadLetteredEvent = EventFacts & {
  /** Addresses are masked. */
  readonly error: string;
  /** `recipient`, `permanent`, `exhausted` or `expired`. */
  readonly cause: string;
};

/** Functions that a drain calls when a message ends. What they throw is logged, and stops nothing. */
export type DrainInstrumentation = {
  /** After a delivery was recorded. */
  delivered?(event: DeliveredEvent): void | Promise<void>;
  /** After a failed attempt was recorded. */
  retried?(event: RetriedEvent): void | Promise<void>;
  /** No retry will follow. */
  deadLettered?(event: DeadLetteredEvent): void | Promise<void>;
};

export type Reporting = {
  readonly instrumentation: DrainInstrumentation;
  /** Of the drain itself, like `traceId`. */
  readonly requestId: string;
  readonly traceId: string;
  /** Calendar time in milliseconds since 1970. */
  readonly today: () => Milliseconds;
};

export function reportEnd(
  end: AttemptEnd,
  { instrumentation, today, ...ids }: Reporting,
): void | Promise<void> {
  const facts = { message: drained(end.message), ...ids };
  const durationMs = end.seconds * 1000;
  const error = end.error ?? '';
  const nextAttemptInMs = end.nextAttemptInMs ?? 0;
  switch (end.outcome) {
    case 'delivered':
      return instrumentation.delivered?.({ ...facts, durationMs });
    case 'retried': {
      const nextAttemptAt = new Date(today() + nextAttemptInMs);
      return instrumentation.retried?.({ ...facts, durationMs, error, nextAttemptInMs, nextAttemptAt });
    }
    case 'dead':
      return instrumentation.deadLettered?.({ ...facts, error, cause: end.cause ?? 'permanent' });
    case 'released':
      return undefined; // the attempt does not count
  }
}

/** A worker died with the message during its last attempt. */
export function reportExpired(
  expired: Expired,
  { instrumentation, requestId, traceId }: Reporting,
): void | Promise<void> {
  const { status, error, attempts: attempt, cause, ...rest } = expired;
  if (status !== 'dead') return undefined;
  const message = drained({ ...rest, attempt });
  return instrumentation.deadLettered?.({ message, requestId, traceId, error, cause: cause ?? 'expired' });
}

function drained(message: ReportedMessage): DrainedMessage {
  const { id, kind, name, queue, attempt, maxAttempts, deliveryKey, requestId, traceparent } = message;
  const traceId = traceparent?.split('-')[1] ?? null;
  return { id, kind, name, queue, attemptCount: attempt, maxAttempts, deliveryKey, requestId, traceId };
}
