// How an attempt can end: a closed set. Delivery makes an Outcome, transitions.ts makes a Settlement of it, the port records that.

import type { Milliseconds } from '../ports.ts';
import type { NewMessage } from './message.ts';

/**
 * What went wrong, as a value.
 * - `transient`: the next attempt may succeed; `retryAfter` is what the provider asked for, in milliseconds. With `holdsQueue` it asked
 *   everybody: the whole queue waits, and the attempt is released, for it says nothing about the message.
 * - `permanent`: no retry can mend it.
 * - `operator`: nobody's message is at fault (a wrong password, a revoked key): the queue is parked, the attempt given back. With `maybeOwn`
 *   this message alone may be the reason all the same; when others pass and it fails again, the failure is its own.
 * `ambiguous`: the provider may have accepted it; nobody knows.
 */
export type Failure = {
  readonly type: 'transient' | 'permanent' | 'operator';
  readonly message: string;
  /** Where it was thrown, with its causes: for the log and the attempt. */
  readonly stack?: string;
  readonly retryAfter?: Milliseconds;
  readonly holdsQueue?: true;
  readonly maybeOwn?: true;
  /** Of a permanent one: the recipient is the reason, unknown, disabled or full; nobody here can mend anything. */
  readonly recipient?: true;
  readonly ambiguous?: boolean;
};

/**
 * Why a message is dead.
 * - `recipient`: its server refuses it for good
 * - `permanent`: no retry can mend it
 * - `exhausted`: its attempts are used up
 * - `expired`: its lease ran out in its last attempt, because its worker died or stood still
 */
export const deadCauses = ['recipient', 'permanent', 'exhausted', 'expired'] as const;
export type DeadCause = (typeof deadCauses)[number];

/** What is known of a delivered message beside that it was delivered, for its timeline. */
export type Note = {
  /** What happened, in one word: `accepted`, `refused`, `deferred`, `suppressed`, `withheld`, `bounced`, `complained`, … */
  readonly type: string;
  /** Whom it concerns. */
  readonly recipient?: string | undefined;
  /** What the provider said. */
  readonly detail?: string | undefined;
  /** The provider's own name for what it took. */
  readonly reference?: string | undefined;
};

export type Outcome =
  | {
      readonly type: 'delivered';
      /** Recorded in the settling statement. */
      readonly then: readonly NewMessage[];
      /** For the message's timeline, likewise. */
      readonly notes?: readonly Note[];
    }
  | { readonly type: 'failure'; readonly failure: Failure }
  /** Not this message's doing: a shutdown, or a worker that does not know its name. The attempt is released. */
  | {
      readonly type: 'released';
      /** Kept as the last error, if any. */ readonly reason: string | null;
      readonly delay: Milliseconds;
    };

/** What is written, under the claim token. `then` are messages that exist if and only if this settlement was recorded. */
export type Settlement = { readonly id: string; readonly claimToken: string } & (
  | { readonly to: 'delivered'; readonly then: readonly NewMessage[]; readonly notes?: readonly Note[] }
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
