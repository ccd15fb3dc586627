// Whether a provider accepts us, asked without sending an email, within a time limit.

import { createDeadline, TimedOut } from '../action/deadline.ts';
import { isAway } from '../email/certainty.ts';
import { EmailError } from '../email/error.ts';
import type { EmailProvider } from '../email/provider.ts';
import { isOf } from '../errors.ts';
import type { Milliseconds } from '../ports.ts';
import { handoverFailure } from './failure.ts';

/** @returns undefined when the provider accepts us, or cannot say */
export async function verified(
  provider: EmailProvider,
  ms: Milliseconds,
  signal: AbortSignal,
): Promise<{ readonly message: string; readonly isAway: boolean } | undefined> {
  if (!provider.verify) return undefined;
  const deadline = createDeadline([signal]);
  deadline.limit({ ms, what: `verify of ${provider.name}` });
  try {
    await deadline.race(provider.verify(deadline.signal));
    return undefined;
  } catch (error) {
    const { message } = handoverFailure(error, provider);
    return { message, isAway: isOf(error, EmailError) ? isAway(error) : error instanceof TimedOut };
  } finally {
    deadline.stop();
  }
}
