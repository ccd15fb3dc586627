// The delay of a retry that the application chooses: `retryDelayMs` of a drain.

import type { Deliver } from '../delivery/delivery.ts';
import type { Log } from '../metrics/log.ts';
import type { Milliseconds } from '../ports.ts';
import type { DrainOptions } from './options.ts';
import { quietly } from './report.ts';

/** The delay of `retryDelayMs` replaces that of the policy, for failures that are retried. */
export function retrying(deliver: Deliver, { retryDelayMs }: DrainOptions, log: Log): Deliver {
  if (!retryDelayMs) return deliver;
  return async (message, signal) => {
    const delivery = await deliver(message, signal);
    const { outcome, thrown } = delivery;
    if (outcome.type !== 'failure' || outcome.failure.type !== 'transient') return delivery;
    const failed = { message: { ...message, attempts: message.attempt }, error: thrown };
    const asked = await quietly(log, () => retryDelayMs(failed));
    const usable = typeof asked === 'number' && asked >= 0 && asked <= longestDelay;
    if (asked !== undefined && !usable)
      log.error(
        { message: message.id },
        'retryDelayMs gave no number of milliseconds from 0 to a year: the policy decides',
      );
    return usable ? { ...delivery, retryDelay: Math.round(asked) } : delivery;
  };
}

const longestDelay: Milliseconds = 365 * 86_400_000;
