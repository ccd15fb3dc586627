// How often a message is attempted, and the delay before a failed one is due again: exponential backoff with full jitter and a cap.
// Full jitter after Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

import type { Milliseconds, Random } from '../ports.ts';

/** The delays between attempts: random up to a ceiling that grows with each attempt. */
export type Backoff = {
  /** Ceiling of the first delay. */
  readonly initial: Milliseconds;
  /** Factor by which the ceiling grows with each attempt. */
  readonly factor: number;
  /** Ceiling of every delay. */
  readonly max: Milliseconds;
  /** If set, these are the delays, each a tenth shorter or longer at random, and the ceilings say nothing. The last one repeats. */
  readonly delays?: readonly Milliseconds[];
};

export const defaultBackoff: Backoff = { initial: 1_000, factor: 2, max: 3_600_000 };

/** For emails: servers expect a retry after minutes, not seconds (RFC 5321, 4.5.4.1), and greylisting takes a quarter of an hour. */
export const emailBackoff: Backoff = { initial: 60_000, factor: 2, max: 3_600_000 };

/** Attempts of a message that is no email. */
export const defaultMaxAttempts = 10;

/**
 * With these delays about a day: greylisting and most outages are over by then. Mail servers retry for four to five days (RFC 5321, 4.5.4.1),
 * but an email that late is of little use.
 */
export const emailMaxAttempts = 53;

/** For webhooks: the delays that Standard Webhooks recommends, three days in all (spec/standard-webhooks.md, "Deliverability and reliability"). */
export const webhookDelays: readonly Milliseconds[] = [
  5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
];

/** Average time from the first attempt to the last, without the attempts: full jitter waits half of each ceiling on average. */
export function horizonOf({ initial, factor, max, delays }: Backoff, maxAttempts: number): Milliseconds {
  if (delays)
    return Array.from({ length: maxAttempts - 1 }, (_, i) => nth(delays, i)).reduce((a, b) => a + b, 0);
  const ceilings = Array.from({ length: maxAttempts - 1 }, (_, i) => Math.min(max, initial * factor ** i));
  return ceilings.reduce((sum, ceiling) => sum + ceiling, 0) / 2;
}

/** Longest Retry-After that is honoured; longer ones are cut to it. */
export const maxRetryAfter: Milliseconds = 24 * 3_600_000;

/** How long to hold a queue whose provider refuses all messages. Without a Retry-After, 5 s. */
export function holdDelay(retryAfter: Milliseconds = 5_000): Milliseconds {
  return Math.min(Math.max(retryAfter, 0), maxRetryAfter);
}

/**
 * @param attempt the attempt that just failed, 1 for the first
 * @param retryAfter the provider's Retry-After; the delay is at least that, up to `maxRetryAfter`
 */
export function retryDelay(
  backoff: Backoff,
  attempt: number,
  random: Random,
  retryAfter: Milliseconds = 0,
): Milliseconds {
  const asked = Math.min(Math.max(retryAfter, 0), maxRetryAfter);
  if (backoff.delays) {
    const delay = nth(backoff.delays, attempt - 1) * (0.9 + 0.2 * random());
    return Math.round(Math.max(asked, delay));
  }
  const ceiling = Math.min(backoff.max, backoff.initial * backoff.factor ** (attempt - 1));
  return Math.round(asked + ceiling * random());
}

const nth = (delays: readonly Milliseconds[], i: number): Milliseconds =>
  delays[Math.min(i, delays.length - 1)] ?? 0;
