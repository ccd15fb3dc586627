// The states of a message and every legal change between them. This table is the only place that knows: the `where` clauses of the
// statements, the memory port, the 409 of the admin API and the drawing in docs/states.md come from it (a test compares).

import type { Milliseconds, Random } from '../ports.ts';
import { holdDelay, retryDelay, type Backoff } from './backoff.ts';
import type { ClaimedMessage, Status } from './message.ts';
import { cleanError } from '../redaction/redact.ts';
import type { Outcome, Settlement } from './outcome.ts';

/**
 * - `claim`: a worker takes the right to deliver; attempts + 1 (invariant E)
 * - `deliver`, `fail`, `kill`, `release`: settle, each under the claim token (invariant C)
 * - `expire`: the sweep ends a lease that ran out; → `dead` when attempts are used up
 * - `exhaust`: the sweep ends a waiting row that has no attempt left (edited by hand, or its limit was lowered)
 * - `cancel`, `retry`: by a person
 */
export const transitions = {
  claim: { from: ['pending', 'failed'], to: ['sending'] },
  deliver: { from: ['sending'], to: ['delivered'] },
  fail: { from: ['sending'], to: ['failed'] },
  kill: { from: ['sending'], to: ['dead'] },
  release: { from: ['sending'], to: ['pending', 'failed'] },
  expire: { from: ['sending'], to: ['failed', 'dead'] },
  exhaust: { from: ['pending', 'failed'], to: ['dead'] },
  cancel: { from: ['pending', 'failed'], to: ['cancelled'] },
  retry: { from: ['dead', 'cancelled'], to: ['pending'] },
} as const satisfies Record<string, { from: readonly Status[]; to: readonly Status[] }>;

export type Action = keyof typeof transitions;

export function isAllowed(action: Action, from: Status): boolean {
  return (transitions[action].from as readonly Status[]).includes(from);
}

/** `status = any ('{pending,failed}')`: the guard of an action's statement. */
export function guard(action: Action, column = 'status'): string {
  return `${column} = any ('{${transitions[action].from.join(',')}}')`;
}

/** Before a message that met an operator failure is tried again, where no queue can be parked for it. */
const operatorDelay = 30_000;

/**
 * How an attempt's end is written: outcome and retry policy → settlement. Total; every ending passes here.
 * @param exactly the delay of a retry, when it is not left to the policy
 */
export function settle(
  message: Pick<ClaimedMessage, 'id' | 'claimToken' | 'attempt' | 'maxAttempts'>,
  outcome: Outcome,
  backoff: Backoff,
  random: Random,
  exactly?: Milliseconds,
): Settlement {
  const { id, claimToken } = message;
  switch (outcome.type) {
    case 'delivered':
      return { id, claimToken, to: 'delivered', then: outcome.then, notes: outcome.notes ?? [] };
    case 'released':
      return { id, claimToken, to: 'released', error: outcome.reason, delay: outcome.delay };
    case 'failure': {
      const { type, stack, retryAfter, ambiguous = false, recipient = false } = outcome.failure;
      const error = cleanError(outcome.failure.message);
      const dead = { id, claimToken, to: 'dead', error, stack, ambiguous } as const;
      switch (type) {
        case 'operator':
          return { id, claimToken, to: 'released', error, delay: retryAfter ?? operatorDelay };
        case 'permanent':
          return recipient ? { ...dead, cause: 'recipient' } : dead;
        case 'transient': {
          if (outcome.failure.holdsQueue)
            return { id, claimToken, to: 'released', error, delay: holdDelay(retryAfter) };
          if (message.attempt >= message.maxAttempts) return { ...dead, cause: 'exhausted' };
          const delay = exactly ?? retryDelay(backoff, message.attempt, random, retryAfter);
          return { id, claimToken, to: 'failed', error, stack, delay, ambiguous };
        }
      }
    }
  }
}
