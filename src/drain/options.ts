// The options of a drain, and their bounds.

import type { PgPool, Transactions } from '../db/transaction.ts';
import { isRegistry, type Registry } from '../define/registry.ts';
import { checkOptions } from '../define/shape.ts';
import type { Batching } from '../delivery/batching.ts';
import type { Guard } from '../email/guard.ts';
import type { EmailProvider } from '../email/provider.ts';
import type { Suppressed } from '../email/suppression.ts';
import type { Log } from '../metrics/log.ts';
import { WaybillError } from '../errors.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { PayloadKeys } from '../message/seal.ts';
import type { OutboxPort } from '../outbox/port.ts';
import type { Milliseconds } from '../ports.ts';
import { allowRule, readAllowList, type AllowList } from '../webhook/allow-list.ts';
import type { DrainInstrumentation } from './instrumentation.ts';

/** How a drain sends emails. */
export type DrainEmail = {
  /** Sends the emails. */
  readonly provider: EmailProvider;
  /** Sender of emails that name none. */
  readonly from?: string | undefined;
  /** Which addresses emails may go to; default: all. */
  readonly allowed?: Guard | undefined;
  /** Returns which of some addresses get no more emails, and why; default: none. */
  readonly suppressed?: Suppressed | undefined;
  /** The batching of the fleet's workers, if they send several emails in one request. Default: each email goes alone. */
  readonly batching?: Batching | undefined;
};

/** What `drainOutbox` takes. */
export type DrainOptions = {
  /** On a pool, not on a transaction: claims and settlements commit on their own. */
  readonly outbox: OutboxPort;
  /** The definitions whose handlers run. A message of another name is released. */
  readonly registry: Registry;
  /** Most messages in a batch: 1 … 10,000, default 100. */
  readonly batchSize?: number | undefined;
  /**
   * Drains batch after batch until nothing is due: one call covers an event, its listeners and what they enqueue. Ends after 100,000 messages,
   * because handlers may enqueue one another for ever. Default false.
   */
  readonly untilEmpty?: boolean | undefined;
  /**
   * Deliveries at a time: 1 … 500, default 10. With a pool of pg whose `max` is below 12, the default is two less than that: handlers may hold a
   * connection each, and claims and renewals of leases need others.
   */
  readonly concurrency?: number | undefined;
  /** For the transactions of handlers (`ctx.db`). Without it, a handler that needs one fails. */
  readonly pool?: PgPool | Transactions | undefined;
  /** Without it, emails are left for another process. */
  readonly email?: DrainEmail | undefined;
  /** Receivers of webhooks inside your network, as in WAYBILL_WEBHOOK_ALLOW. Default: only public addresses. */
  readonly webhookAllow?: readonly string[] | undefined;
  /** For sensitive messages: as for createPostgresOutbox. */
  readonly payloadKeys?: string | PayloadKeys | undefined;
  /** Length of a lease; renewed every third of it while the handler runs. Default 15,000 ms. */
  readonly leaseMs?: Milliseconds | undefined;
  /** Exact delay of a retry in ms, up to a year; undefined: the retry policy decides. It may return a promise. */
  retryDelayMs?(failed: {
    /** `attempts` equals `attempt`, under the name of the column: the claims so far, 1 after the first. */
    readonly message: ClaimedMessage & { readonly attempts: number };
    readonly error: unknown;
  }): Milliseconds | undefined | Promise<Milliseconds | undefined>;
  /** Functions that are called when a message ends. */
  readonly instrumentation?: DrainInstrumentation | undefined;
  /** On abort, nothing more is claimed, and what runs is released without using an attempt. */
  readonly signal?: AbortSignal | undefined;
  /** Of the drain, sent with each event; default: generated. */
  readonly requestId?: string | undefined;
  /** Of the drain, 32 hexadecimal digits, sent with each event; default: generated. */
  readonly traceId?: string | undefined;
  /** Shown as the holder of claims. Default: generated. */
  readonly workerId?: string | undefined;
  /** A pino logger: `ctx.log`, failed attempts that `instrumentation` does not get, and warnings. Default: JSON lines from `info` on, to stdout. */
  readonly log?: Log | undefined;
};

export const drainOptionNames = [
  'outbox',
  'registry',
  'batchSize',
  'untilEmpty',
  'concurrency',
  'pool',
  'email',
  'webhookAllow',
  'payloadKeys',
  'leaseMs',
  'retryDelayMs',
  'instrumentation',
  'signal',
  'requestId',
  'traceId',
  'workerId',
  'log',
];

/** @throws WaybillError `drain_options_invalid` */
export function allowListOf(items: readonly string[] = []): AllowList {
  const list = Array.isArray(items) ? readAllowList(items) : undefined;
  if (list) return list;
  throw new WaybillError('drain_options_invalid', `drainOutbox: webhookAllow must be a list of ${allowRule}`);
}

export type DrainBounds = Readonly<Record<'batchSize' | 'concurrency' | 'leaseMs', number>>;

/** @throws WaybillError `drain_options_invalid`, `definition_invalid` (an unknown option) */
export function checkedBounds(options: DrainOptions): DrainBounds {
  if (typeof options === 'object' && options !== null) checkParts(options);
  checkOptions('drainOutbox', options, drainOptionNames);
  const { email, instrumentation } = options;
  if (email !== undefined)
    checkOptions('drainOutbox: email', email, ['provider', 'from', 'allowed', 'suppressed', 'batching']);
  if (instrumentation !== undefined)
    checkOptions('drainOutbox: instrumentation', instrumentation, ['delivered', 'retried', 'deadLettered']);
  const { batchSize = 100, concurrency = usualConcurrency(options.pool), leaseMs = 15_000 } = options;
  const inRange = (name: string, value: number, low: number, high: number): void => {
    if (Number.isInteger(value) && value >= low && value <= high) return;
    throw new WaybillError(
      'drain_options_invalid',
      `drainOutbox: ${name} must be a whole number from ${low} to ${high}`,
    );
  };
  inRange('batchSize', batchSize, 1, 10_000);
  inRange('concurrency', concurrency, 1, 500);
  inRange('leaseMs', leaseMs, 100, 3_600_000);
  return { batchSize, concurrency, leaseMs };
}

/** Without a free connection leases are not renewed, and a long handler's message is delivered a second time elsewhere. */
function usualConcurrency(pool: DrainOptions['pool']): number {
  const { max } = (pool as { readonly options?: { readonly max?: unknown } } | undefined)?.options ?? {};
  return typeof max === 'number' ? Math.min(10, Math.max(1, max - 2)) : 10;
}

/** Runs before the check of each option, because options of other outbox libraries have other names for handlers. */
function checkParts(options: DrainOptions): void {
  const given = options as Partial<Record<string, unknown>>;
  const foreign = ['eventBus', 'events', 'listeners', 'jobs', 'actions'].filter((name) => name in given);
  if (foreign.length > 0 || !isRegistry(given['registry']))
    throw new WaybillError(
      'drain_options_invalid',
      `drainOutbox takes its handlers as one registry${foreign.length > 0 ? `, not as ${foreign.join(', ')}` : ''}: registry: defineOutboxRegistry({ events, listeners, jobs }); a listener is what other libraries subscribe to an event bus`,
    );
  const { claimBatch } = (given['outbox'] ?? {}) as Partial<OutboxPort>;
  if (typeof claimBatch !== 'function')
    throw new WaybillError(
      'drain_options_invalid',
      'drainOutbox needs an outbox: createPostgresOutbox(pool) or createMemoryOutbox()',
    );
}
