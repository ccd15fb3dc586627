// The ways in which an attempt can end: a closed set. Delivery returns an Outcome, transitions.ts turns it into a Settlement, the port records it.

import type { Milliseconds } from '../ports.ts';
import type { NewMessage } from './message.ts';

/**
 * What went wrong, as a value.
 * - `transient`: the next attempt may succeed. `retryAfter` is the provider's Retry-After, in milliseconds. With `holdsQueue` the provider
 *   refuses all messages: the queue is held, and the attempt is released, because the message is not the reason.
 * - `permanent`: no retry can help.
 * - `operator`: no message is at fault (a wrong password, a revoked key). The queue is parked and the attempt released. With `maybeOwn` this
 *   message may still be the reason: when others pass and it fails again, the failure is its own.
 * `ambiguous`: it is unknown whether the provider accepted the message.
 */
export type Failure = {
  readonly type: 'transient' | 'permanent' | 'operator';
  readonly message: string;
  /** Stack of the error and its causes, for the log and the attempt. */
  readonly stack?: string;
  readonly retryAfter?: Milliseconds;
  readonly holdsQueue?: true;
  readonly maybeOwn?: true;
  /** For `permanent`: the recipient is the reason (unknown, disabled or full), and no operator can help. */
  readonly recipient?: true;
  readonly ambiguous?: boolean;
};

/**
 * Why a message is dead.
 * - `recipient`: the recipient's server refuses it for good
 * - `permanent`: no retry can help
 * - `exhausted`: its attempts are used up
 * - `expired`: its lease expired in its last attempt, because the worker died or hung
 */
export const deadCauses = ['recipient', 'permanent', 'exhausted', 'expired'] as const;
/** One of the causes above. */
export type DeadCause = (typeof deadCauses)[number];

/** An entry in the timeline of a delivered message. */
export type Note = {
  /** What happened, in one word: `accepted`, `refused`, `deferred`, `separate`, `suppressed`, `withheld`, `bounced`, `complained`, … */
  readonly type: string;
  /** The recipient that it concerns. */
  readonly recipient?: string | undefined;
  /** The provider's answer. */
  readonly detail?: string | undefined;
  /** The provider's id for the accepted message. */
  readonly reference?: string | undefined;
};

export type Outcome =
  | {
      readonly type: 'delivered';
      /** Messages to record in the statement that settles. */
      readonly then: readonly NewMessage[];
      /** Timeline entries, written by the same statement. */
      readonly notes?: readonly Note[];
    }
  | { readonly type: 'failure'; readonly failure: Failure }
  /** The message is not the reason: a shutdown, or a worker without a definition of its name. The attempt is released. */
  | {
      readonly type: 'released';
      /** Kept as the last error, if any. */ readonly reason: string | null;
      readonly delay: Milliseconds;
      readonly probe?: ProbeEnd | undefined;
    };

/** What a released probe has shown about its parked queue, with the reason if the queue stays parked. Undefined: nothing, so another one may begin at once. */
export type ProbeEnd = 'answered' | { readonly failed: string };

/** The change to write under the claim token. The messages in `then` exist if and only if this settlement was recorded. */
export type Settlement = { readonly id: string; readonly claimToken: string } & (
  | {
      readonly to: 'delivered';
      readonly then: readonly NewMessage[];
      readonly notes?: readonly Note[];
      /** Its payload is dropped (src/message/seal.ts). */
      readonly drops?: true;
    }
  | {
      readonly to: 'failed';
      readonly error: string;
      readonly stack?: string | undefined;
      readonly delay: Milliseconds;
      readonly ambiguous: boolean;
    }
  | {
      readonly to: 'dead';
      readonly error: string;
      readonly stack?: string | undefined;
      readonly ambiguous: boolean;
      /** Default: `permanent`. */
      readonly cause?: DeadCause;
    }
  | { readonly to: 'released'; readonly error: string | null; readonly delay: Milliseconds }
);
