// OutboxPort: the interface of an outbox for workers, drains and recorders. Postgres and memory implement it, under one conformance suite.

import type { Milliseconds } from '../ports.ts';
import type { ClaimedMessage, Enqueued, Kind, NewMessage, Status } from '../message/message.ts';
import type { Once, Answered } from './once.ts';
import type { DeadCause, Settlement } from '../message/outcome.ts';
import type { Executor, PgLike } from '../db/executor.ts';
import { checkOptions } from '../options.ts';

/** What a worker claims. */
export type ClaimRequest = {
  /** Most messages. */
  readonly limit: number;
  /** Length of the lease, by the clock of the database. */
  readonly leaseMs: Milliseconds;
  /** Shown as the holder of the claims. */
  readonly workerId: string;
  /** Only messages with these ids; the answer omits any that cannot be claimed. Default: all due messages. */
  readonly ids?: readonly string[] | undefined;
  /** Only messages of these queues. Default: all. */
  readonly queues?: readonly string[] | undefined;
  /** Only messages of these kinds. Default: all. */
  readonly kinds?: readonly Kind[] | undefined;
  /** True: only suspects, which must run alone; false: only other messages (invariant F, src/outbox/waiting.ts). Default: both. */
  readonly suspects?: boolean | undefined;
  /**
   * How many of the messages begin at once. The others are prefetched: a lease that expires before they begin gives the attempt back,
   * and none of them is on its last attempt. Default: all begin, and each claim counts.
   */
  readonly begins?: number | undefined;
};

/** A claim: the message and the token that alone gives the right to settle it. */
export type Claim = { readonly id: string; readonly claimToken: string };

/** A recorded settlement. `seconds` is the time since the message was recorded, by the database's clock. */
export type Settled = { readonly id: string; readonly status: Status; readonly seconds: number };

/** A message whose lease expired, in its new state. */
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
  /** Why it is dead; null when it is failed. */
  readonly cause: DeadCause | null;
};

/** How an attempt failed. */
export type FailOptions = {
  /** Delay until it is due again; default: 0. */
  readonly delayMs?: Milliseconds | undefined;
  /** No retry can help: dead at once. */
  readonly permanent?: boolean | undefined;
  /** It is unknown whether the work was done. Default: false. */
  readonly ambiguous?: boolean | undefined;
};

/** An outbox, on Postgres or in memory, for recording, workers and drains. */
export type OutboxPort = {
  /**
   * Records messages in the executor's transaction. If the delivery key is taken, nothing is recorded: the answer is the existing message. With
   * `onDuplicate: 'replace'` or `debounce`, that one gets the new payload, or a new message is recorded (docs/debounce.md).
   */
  enqueue(message: NewMessage): Promise<Enqueued>;
  /** Records several messages in one statement; the answers stand in their order. All are recorded, or none. */
  enqueue(messages: readonly NewMessage[]): Promise<Enqueued[]>;
  /**
   * Claims due messages for this worker: `sending`, a fresh claim token, a lease, attempts + 1. Those of one queue and priority stand in the order of
   * their due times.
   */
  claimBatch(request: ClaimRequest): Promise<ClaimedMessage[]>;
  /** False when the token is stale; nothing is changed then. */
  markDelivered(id: string, claimToken: string, then?: readonly NewMessage[]): Promise<boolean>;
  /** `failed` and due again later, or `dead` when it was permanent or the last attempt. False when the token is stale. */
  markFailed(id: string, claimToken: string, error: string | Error, options?: FailOptions): Promise<boolean>;
  /** Records a batch in one statement. Messages missing from the answer had a stale token (invariant C). */
  settle(settlements: readonly Settlement[]): Promise<Settled[]>;
  /** Renews the leases of messages that have begun. The claims missing from the answer are lost. */
  extend(claims: readonly Claim[], leaseMs: Milliseconds): Promise<string[]>;
  /**
   * Ends at most `limit` expired leases: due again at once, or dead when no attempt is left (invariants B and E). A prefetched message that
   * did not begin gets its attempt back. Also ends messages that newer ones replace, which then wait for nothing but their time.
   */
  expire(limit: number): Promise<Expired[]>;
  /**
   * Runs `make` once for each scope and key, stores its answer (JSON), and returns the stored answer afterwards. On a transaction, the key,
   * the answer and the writes of `make` commit together. A second caller waits for a first that is still running, unless `noWait` is set.
   * @throws WaybillError `idempotency_key_running`, `idempotency_key_reused`
   */
  once(about: Once, make: () => Promise<unknown>): Promise<Answered>;
  /**
   * Whether a message of the queue is due, so that a drain without a provider can say that emails wait. A port may leave it out: then nothing
   * is said.
   */
  hasDue?(queue: string): Promise<boolean>;
  /** Cancels a waiting message in the executor's transaction. False, and nothing changed, when it does not wait or does not exist. */
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
