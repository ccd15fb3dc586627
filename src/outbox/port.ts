// OutboxPort: what workers, drains and recorders need of an outbox. Postgres and memory implement it; one conformance suite holds both.

import type { Milliseconds } from '../ports.ts';
import type { ClaimedMessage, Enqueued, Kind, NewMessage, Status } from '../message/message.ts';
import type { Once, Answered } from './once.ts';
import type { DeadCause, Settlement } from '../message/outcome.ts';
import type { Executor, PgLike } from '../db/executor.ts';
import { checkOptions } from '../options.ts';

export type ClaimRequest = {
  /** Messages at most. */
  readonly limit: number;
  readonly leaseMs: Milliseconds;
  readonly workerId: string;
  /** Only these; those that cannot be claimed are left out of the answer. Default: whatever is due. */
  readonly ids?: readonly string[] | undefined;
  readonly queues?: readonly string[] | undefined;
  readonly kinds?: readonly Kind[] | undefined;
  /** True: only suspects, which have to run alone, false: only the others (invariant F; src/outbox/waiting.ts). Default: both. */
  readonly suspects?: boolean | undefined;
  /**
   * How many of them begin at once. The others are prefetched: a lease that runs out before they began gives their attempt back,
   * and none of them is on its last attempt. Default: all begin, and each claim counts.
   */
  readonly begins?: number | undefined;
};

export type Claim = { readonly id: string; readonly claimToken: string };

/** A settlement that was recorded. `seconds` is from the record to now, by the database's clock. */
export type Settled = { readonly id: string; readonly status: Status; readonly seconds: number };

/** A message whose lease ran out, and what became of it. */
export type Expired = {
  readonly id: string;
  readonly kind: Kind;
  readonly name: string;
  readonly queue: string;
  readonly status: 'failed' | 'dead';
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly deliveryKey: string | null;
  readonly requestId: string | null;
  readonly traceparent: string | null;
  readonly error: string;
  /** Why it is dead; null when it is not. */
  readonly cause: DeadCause | null;
};

export type FailOptions = {
  /** Due again after this; default: now. */
  readonly delayMs?: Milliseconds | undefined;
  /** No retry can mend it: dead at once. */
  readonly permanent?: boolean | undefined;
  readonly ambiguous?: boolean | undefined;
};

export type OutboxPort = {
  /** Records one message in the executor's transaction. A delivery key that stands already records nothing and gives the first message's id. */
  enqueue(message: NewMessage): Promise<Enqueued>;
  enqueue(messages: readonly NewMessage[]): Promise<Enqueued[]>;
  /** Takes due messages for this worker: `sending`, fresh token, lease, attempts + 1. */
  claimBatch(request: ClaimRequest): Promise<ClaimedMessage[]>;
  /** False when the token is stale: nothing was changed. */
  markDelivered(id: string, claimToken: string, then?: readonly NewMessage[]): Promise<boolean>;
  /** `failed` and due again later, or `dead` when it was permanent or the last attempt. False when the token is stale. */
  markFailed(id: string, claimToken: string, error: string | Error, options?: FailOptions): Promise<boolean>;
  /** Records a batch in one statement. What is missing from the answer had a stale token (invariant C). */
  settle(settlements: readonly Settlement[]): Promise<Settled[]>;
  /** Renews leases of what has begun. What is missing from the answer is no longer held. */
  extend(claims: readonly Claim[], leaseMs: Milliseconds): Promise<string[]>;
  /**
   * Ends leases that ran out, at most `limit`: due again at once, or dead when no attempt is left (invariants B and E). What was prefetched
   * and did not begin gets its attempt back.
   */
  expire(limit: number): Promise<Expired[]>;
  /**
   * Runs `make` once for each scope and key, and keeps its answer (JSON); afterwards gives the kept one. Key, answer and what `make` writes
   * commit together when the outbox is on a transaction. A second caller waits for a first that is still running, unless told otherwise.
   * @throws WaybillError `idempotency_key_running`, `idempotency_key_reused`
   */
  once(about: Once, make: () => Promise<unknown>): Promise<Answered>;
  /** Ends a message that waits, in the executor's transaction. False when it does not wait, or is not there: nothing was changed. */
  cancel(id: string): Promise<boolean>;
  /** The same outbox in another transaction. */
  on(source: Executor | PgLike): OutboxPort;
};

const ofClaim = ['limit', 'leaseMs', 'workerId', 'ids', 'queues', 'kinds', 'suspects', 'begins'];

/** @throws WaybillError `options_invalid` */
export function checkClaimRequest(request: unknown): void {
  checkOptions('claimBatch', request, ofClaim);
}

/** @throws WaybillError `options_invalid` */
export function checkFailOptions(options: unknown): void {
  checkOptions('markFailed', options, ['delayMs', 'permanent', 'ambiguous']);
}

/** @throws WaybillError `options_invalid` */
export function checkOnce(about: unknown): void {
  checkOptions('once', about, ['scope', 'key', 'fingerprint', 'maxAgeMs', 'noWait']);
}
