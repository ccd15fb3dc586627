// Option values from the command line: checked here, so that a command sees only good ones.

import { InvalidArgumentError } from 'commander';
import { UsageError } from './exit.ts';

export type Range = { readonly min: number; readonly max: number };

/** A parser for whole numbers of a range; the option may be given once. */
export function wholeNumber({ min, max }: Range): (text: string, before?: number) => number {
  return (text, before) => {
    if (before !== undefined) throw new InvalidArgumentError('it was given twice.');
    const value = Number(text);
    if (!/^\d{1,9}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max} is needed.`);
    return value;
  };
}

/** A parser for options that may repeat. */
export function collect(text: string, before: readonly string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return [...before, text];
}

/** A parser for options that may repeat and whose values are known. */
export function collectOneOf(known: readonly string[]): (text: string, before?: readonly string[]) => string[] {
  return (text, before = []) => {
    if (!known.includes(text)) throw new InvalidArgumentError(`one of ${known.join(', ')} is needed.`);
    return [...before, text];
  };
}

/** A parser for a value that may be given once. */
export function single(text: string, before?: string): string {
  if (before !== undefined) throw new InvalidArgumentError('it was given twice.');
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return text;
}

/** A parser for an instant: ISO 8601 with its zone. */
export function instant(text: string, before?: string): string {
  const value = single(text, before);
  const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;
  if (!form.test(value) || Number.isNaN(Date.parse(value)))
    throw new InvalidArgumentError('a time in ISO 8601 with its zone is needed, such as 2026-01-31T08:00:00Z.');
  return new Date(value).toISOString();
}

/** The id of a message, as an argument. */
export function messageId(text: string): string {
  if (!/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text))
    throw new UsageError('invalid_id', `"${text}" is no message id: those are UUIDs`);
  return text.toLowerCase();
}
