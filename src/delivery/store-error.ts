// Our own database failed while an email was delivered, and nothing was sent: the message is not at fault, and neither is its provider.

import type { Outcome } from '../message/outcome.ts';
import type { Milliseconds } from '../ports.ts';
import { reasonOf } from '../redaction/reason.ts';

/** @param message what could not be read or written */
export class StoreError extends Error {
  override readonly name = 'StoreError';

  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

const delay: Milliseconds = 1_000;

/** The attempt does not count. */
export function putOff(error: StoreError): Outcome {
  return { type: 'released', reason: reasonOf(error), delay };
}
