// Parsers of option values. Each gets the value of an earlier occurrence, so that a second one is noticed.

import { InvalidArgumentError } from 'commander';

/** For an option that may repeat. */
export function collect(text: string, before: readonly string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return [...before, text];
}

/** Names, also several behind commas, for an option that may repeat. */
export function collectNames(text: string, before: readonly string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('a name is empty.');
  return [...before, ...names];
}

/** For an option that may be given once. */
export function single(text: string, before?: string): string {
  if (before !== undefined) throw new InvalidArgumentError('it was given twice.');
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return text;
}

/** A whole number, given once. */
export function whole(text: string, before?: number): number {
  if (before !== undefined) throw new InvalidArgumentError('it was given twice.');
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it must be a whole number');
}
