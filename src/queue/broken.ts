// What makes a queue of pg-boss broken: an answer of its schema that no later try will change. Trouble with the database itself does not.

import { AssertionError } from 'node:assert';
import { isUnreachable, sqlState } from '../db/diagnosis.ts';

/** A part of pg-boss's schema is missing or does not do what it should. */
export class QueueBroken extends Error {
  override readonly name = 'QueueBroken';

  constructor(what: string, options?: ErrorOptions) {
    super(`pg-boss's schema is incomplete and is made anew; no message is lost: ${what}`, options);
  }
}

/**
 * Transactions that failed, were rolled back or refused, and statements that were cut short: no schema is at fault. Nor where this role lacks a
 * privilege (42501): it could not mend it.
 */
const passing = /^(25|40|42501|55|57)/;

export function brokenBy(error: unknown): boolean {
  if (error instanceof AssertionError || isUnreachable(error)) return false; // pg-boss asserts what it was given
  const state = sqlState(error);
  return state === undefined || !passing.test(state);
}

/** Runs what asks pg-boss. @throws QueueBroken where its schema is at fault; other errors pass through */
export async function onQueue<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof QueueBroken || !brokenBy(error)) throw error;
    throw new QueueBroken((error as Error).message, { cause: error });
  }
}
