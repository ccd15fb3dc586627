// Retry-After of an HTTP answer: how long the other server asks to wait.

import type { Milliseconds } from '../ports.ts';

type Header = string | null | undefined;

/**
 * Retry-After in seconds or as a date (RFC 9110, section 10.2.3). A date is compared with the other server's own clock.
 * @param value of the field; undefined or null: the answer has none
 * @param date of the field Date
 */
export function retryAfterOf(value: Header, date: Header): Milliseconds | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  if (!/^[A-Z][a-z]{2,8},? /.test(text)) return undefined; // Date.parse accepts much more than HTTP dates
  const wait = Date.parse(text) - Date.parse(date ?? '');
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}
