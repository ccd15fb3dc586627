// What delivering one message gives: how it ended, the policy for the next attempt, and the transaction that its handler wrote in.

import type { LazyTransaction } from '../db/lazy.ts';
import type { Backoff } from '../message/backoff.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Outcome } from '../message/outcome.ts';
import type { Interrupt, Milliseconds } from '../ports.ts';

export type Delivery = {
  readonly outcome: Outcome;
  readonly backoff: Backoff;
  /** Still open: to be committed with the settlement, or rolled back. */
  readonly work?: LazyTransaction | undefined;
  /** The queues and priorities in which the handler recorded messages in it (src/outbox/notify.ts); without it, none. */
  readonly recorded?: ReadonlySet<string> | undefined;
  /** What made it fail, as it was thrown: never stored, never logged. */
  readonly thrown?: unknown;
  /** Instead of the backoff, exactly. */
  readonly retryDelay?: Milliseconds | undefined;
  /** It is not to run again when its transaction does not commit. */
  readonly once?: boolean;
};

/** Never rejects: a failure is an outcome. `signal` aborts when the delivery must end now. */
export type Deliver = (message: ClaimedMessage, signal: Interrupt) => Promise<Delivery>;
