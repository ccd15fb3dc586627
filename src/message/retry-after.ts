// Retry-After of an HTTP answer: how long the other server asks to wait.

import type { Milliseconds } from '../ports.ts';

type Header = string | null | undefined;

/** Whoever asks for longer gets this; a queue or message waits for less anyway. */
const longest: Milliseconds = 1e12;

/**
 * Retry-After in seconds or as a date (RFC 9110, section 10.2.3). A fraction of a second is no number of HTTP, but servers send it.
 * @param value of the field; undefined or null: the answer has none
 * @param date of the field Date: a date is compared with the other server's own clock, if it says its time
 * @param now ms since 1970
 */
export function retryAfterOf(value: Header, date: Header, now: Milliseconds): Milliseconds | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,40}(?:\.\d{1,40})?$/.test(text)) return Math.min(longest, Math.ceil(Number(text) * 1_000));
  if (!/^[A-Z][a-z]{2,8},? /.test(text)) return undefined; // Date.parse accepts much more than HTTP dates
  const theirs = Date.parse(date ?? '');
  const wait = Date.parse(text) - (Number.isNaN(theirs) ? now : theirs);
  return Number.isNaN(wait) ? undefined : Math.min(longest, Math.max(0, wait));
}
