// When a failed message is due again: exponential with full jitter, capped.
// Full jitter after Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

import type { Milliseconds, Random } from '../ports.ts';

export type Backoff = {
  /** Ceiling of the first delay. */
  readonly initial: Milliseconds;
  /** What the ceiling grows by with each attempt. */
  readonly factor: number;
  /** Ceiling of every delay. */
  readonly max: Milliseconds;
};

export const defaultBackoff: Backoff = { initial: 1_000, factor: 2, max: 3_600_000 };

/** Of emails: a server that asks to try again wants minutes, not seconds (RFC 5321, 4.5.4.1), and greylisting takes a quarter of an hour. */
export const emailBackoff: Backoff = { initial: 60_000, factor: 2, max: 3_600_000 };

/** From the first attempt to the last, on average: full jitter waits half of each ceiling. Without the time that the attempts take. */
export function horizonOf({ initial, factor, max }: Backoff, maxAttempts: number): Milliseconds {
  const ceilings = Array.from({ length: maxAttempts - 1 }, (_, i) => Math.min(max, initial * factor ** i));
  return ceilings.reduce((sum, ceiling) => sum + ceiling, 0) / 2;
}

/** The longest that a provider's Retry-After is believed. */
export const maxRetryAfter: Milliseconds = 24 * 3_600_000;

/** How long the provider wants no message at all. Without a time of its own, long enough not to be asked for ever. */
export function holdDelay(retryAfter: Milliseconds = 5_000): Milliseconds {
  return Math.min(Math.max(retryAfter, 0), maxRetryAfter);
}

/**
 * @param attempt the attempt that just failed, 1 for the first
 * @param retryAfter what the provider asked for; the delay is at least that, up to `maxRetryAfter`
 */
export function retryDelay(
  backoff: Backoff,
  attempt: number,
  random: Random,
  retryAfter: Milliseconds = 0,
): Milliseconds {
  const ceiling = Math.min(backoff.max, backoff.initial * backoff.factor ** (attempt - 1));
  const asked = Math.min(Math.max(retryAfter, 0), maxRetryAfter);
  return Math.round(asked + ceiling * random());
}
