// The settlement of `markFailed`, for applications that claim and settle messages themselves.

import { reasonOf } from '../redaction/reason.ts';
import { cleanError } from '../redaction/redact.ts';
import { stackOf } from '../redaction/stack.ts';
import type { ClaimedMessage } from '../message/message.ts';
import type { Settlement } from '../message/outcome.ts';
import type { FailOptions } from '../outbox/port.ts';

export function failedWith(
  { id, claimToken }: Pick<ClaimedMessage, 'id' | 'claimToken'>,
  error: string | Error,
  { delayMs: delay = 0, permanent = false, ambiguous = false }: FailOptions = {},
): Settlement {
  const text = typeof error === 'string' ? cleanError(error) : reasonOf(error);
  const why = { id, claimToken, error: text, stack: stackOf(error), ambiguous };
  return permanent ? { ...why, to: 'dead' } : { ...why, to: 'failed', delay };
}
