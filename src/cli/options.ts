// Option values from the command line: checked here, so that a command sees only good ones.

import { InvalidArgumentError } from 'commander';
import { UsageError } from './exit.ts';

/** A parser for options that may repeat. */
export function collect(text: string, before: readonly string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return [...before, text];
}

/** A parser for a value that may be given once. */
export function single(text: string, before?: string): string {
  if (before !== undefined) throw new InvalidArgumentError('it was given twice.');
  if (text === '') throw new InvalidArgumentError('it is empty.');
  return text;
}

/** The id of a message, as an argument. */
export function messageId(text: string): string {
  if (!/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(text))
    throw new UsageError('invalid_id', `"${text}" is no message id: those are UUIDs`);
  return text.toLowerCase();
}
