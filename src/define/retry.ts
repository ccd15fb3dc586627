// Retry options and the policy made from them: how often a message is attempted and how long it waits between attempts.

import { parseDuration, type Duration } from '../duration.ts';
import {
  defaultBackoff,
  defaultMaxAttempts,
  emailBackoff,
  emailMaxAttempts,
  webhookDelays,
  type Backoff,
} from '../message/backoff.ts';
import type { Milliseconds } from '../ports.ts';
import { checkOptions, refuseDefinition } from './shape.ts';

/** How often a message is attempted, and the delays between attempts. */
export type RetryOptions = {
  /** 1 … 1000. Default 10; for emails 53. */
  readonly maxAttempts?: number;
  /** The delay before attempt n + 1 is random, from 0 to `initial` × `factor`ⁿ⁻¹, and at most `max`. */
  readonly backoff?: {
    /** Upper bound of the first delay; the delay itself is random. Default 1 s; for emails 1 min. */
    readonly initial?: Duration;
    /** Multiplies the upper bound after each attempt. 1 … 100, default 2. */
    readonly factor?: number;
    /** Upper bound of every delay. Default 1 h. */
    readonly max?: Duration;
  };
  /**
   * The delays themselves, instead of `backoff` and `maxAttempts`: there is one attempt more than delays. Each is a tenth shorter or longer at
   * random. 1 … 999.
   */
  readonly delays?: readonly Duration[];
};

/** Retry options with their defaults filled in. */
export type RetryPolicy = { readonly maxAttempts: number; readonly backoff: Backoff };

export const usualRetry: RetryPolicy = { maxAttempts: defaultMaxAttempts, backoff: defaultBackoff };
export const emailRetry: RetryPolicy = { maxAttempts: emailMaxAttempts, backoff: emailBackoff };

/** @param usual the values for omitted options */
export function retryPolicy(
  what: string,
  options: RetryOptions = {},
  usual: RetryPolicy = usualRetry,
): RetryPolicy {
  checkOptions(what, options, ['maxAttempts', 'backoff', 'delays']);
  if (options.delays !== undefined) return ofDelays(what, options.delays, options);
  const { maxAttempts = usual.maxAttempts, backoff = {} } = options;
  checkOptions(what, backoff, ['initial', 'factor', 'max']);
  const factor = backoff.factor ?? usual.backoff.factor;
  const initial = milliseconds(what, 'retry.backoff.initial', backoff.initial ?? usual.backoff.initial);
  const max = milliseconds(what, 'retry.backoff.max', backoff.max ?? Math.max(initial, usual.backoff.max));
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 1000)
    refuseDefinition(what, 'retry.maxAttempts must be a whole number from 1 to 1000');
  if (!(factor >= 1 && factor <= 100))
    refuseDefinition(what, 'retry.backoff.factor must be a number from 1 to 100');
  if (max < initial) refuseDefinition(what, 'retry.backoff.max must not be less than retry.backoff.initial');
  // Only the usual attempts go with the usual delays.
  const { delays } = options.backoff === undefined ? usual.backoff : {};
  return Object.freeze({
    maxAttempts,
    backoff: Object.freeze({ initial, factor, max, ...(delays && { delays }) }),
  });
}

function ofDelays(
  what: string,
  delays: readonly Duration[],
  { backoff, maxAttempts }: RetryOptions,
): RetryPolicy {
  if (backoff !== undefined || maxAttempts !== undefined)
    refuseDefinition(what, 'retry.delays says everything: leave retry.backoff and retry.maxAttempts out');
  if (!Array.isArray(delays) || delays.length === 0 || delays.length > 999)
    refuseDefinition(what, "retry.delays must be a list of 1 to 999 durations, such as ['5s', '5m', '1h']");
  return policyOf(delays.map((delay: Duration, i) => milliseconds(what, `retry.delays[${i}]`, delay)));
}

/** One attempt more than delays. */
function policyOf(delays: readonly Milliseconds[]): RetryPolicy {
  const [initial, max] = [Math.min(...delays), Math.max(...delays)];
  const backoff = { initial, factor: 2, max, delays: Object.freeze([...delays]) };
  return Object.freeze({ maxAttempts: delays.length + 1, backoff: Object.freeze(backoff) });
}

export const webhookRetry: RetryPolicy = policyOf(webhookDelays);

/** @throws WaybillError `definition_invalid` when `value` is no duration */
export function milliseconds(what: string, option: string, value: Duration): Milliseconds {
  const ms = typeof value === 'number' ? value : parseDuration(value);
  if (ms !== undefined && Number.isFinite(ms) && ms > 0 && ms <= 365 * 86_400_000) return ms;
  return refuseDefinition(
    what,
    `${option} must be a duration of at most a year: milliseconds, or a text such as '30s', '5m', '48h'`,
  );
}
