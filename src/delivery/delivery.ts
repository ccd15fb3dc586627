// The result of delivering one message: its outcome, the policy for the next attempt, and the handler's transaction.

import type { LazyTransaction } from '../db/lazy.ts';
import type { Backoff } from '../message/backoff.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Outcome } from '../message/outcome.ts';
import type { Interrupt, Milliseconds } from '../ports.ts';
import type { GroupEnd } from '../queues/circuit.ts';

export type Delivery = {
  readonly outcome: Outcome;
  readonly backoff: Backoff;
  /** Still open: to be committed with the settlement, or rolled back. */
  readonly work?: LazyTransaction | undefined;
  /** The queues and priorities in which the handler recorded messages (src/outbox/notify.ts); undefined: none. */
  readonly recorded?: ReadonlySet<string> | undefined;
  /** The value that was thrown; never stored, never logged. */
  readonly thrown?: unknown;
  /** Exact delay, instead of the backoff. */
  readonly retryDelay?: Milliseconds | undefined;
  /** What it says of the group of the message. Undefined: nothing. */
  readonly group?: GroupEnd;
  /** It must not run again if its transaction does not commit. */
  readonly once?: boolean;
};

/** Never rejects: a failure is an outcome. @param signal aborts when the delivery must end now */
export type Deliver = (message: ClaimedMessage, signal: Interrupt) => Promise<Delivery>;
