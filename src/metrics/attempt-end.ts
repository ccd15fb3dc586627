// How an attempt ended: the facts that are logged and counted. They hold no payload and no whole address.

import type { AttemptOutcome } from './attempts.ts';
import type { DeliveredMessage } from './delivered.ts';

/** The part of a message that may be logged. */
export type ReportedMessage = DeliveredMessage & { readonly deliveryKey: string | null };

/**
 * Why a claim was released without using an attempt: the `end` of an attempt (a closed queue, an unknown name), a `shutdown`, or `no-slot`: it was
 * prefetched, and no slot came free in time.
 */
export type ReleaseCause = 'end' | 'shutdown' | 'no-slot';

export type AttemptEnd = {
  readonly message: ReportedMessage;
  readonly outcome: AttemptOutcome;
  readonly seconds: number;
  readonly endToEndSeconds: number | null;
  readonly error: string | null;
  readonly stack?: string | undefined;
  readonly nextAttemptInMs: number | null;
  /** Why it is dead; null when it is not. */
  readonly cause: string | null;
  readonly releasedFor?: ReleaseCause | undefined;
};
