// Definitions of queues: limits that hold for the whole fleet. A queue that nobody defines has none.

import { isQueueName } from '../message/message.ts';
import { checkCount, checkRate, type Limits } from '../queues/limits.ts';
import type { WaybillError } from '../errors.ts';
import type { Duration } from '../duration.ts';
import { milliseconds } from './retry.ts';
import { checkOptions, refuseDefinition, titleOf } from './shape.ts';

/** A limit of starts in a time. */
export type RateOptions = {
  /** Starts in any span of `per`; a whole number. */
  readonly limit: number;
  /** The span of time. */
  readonly per: '1s' | '1m' | '1h';
  /** How many of them may start at once; the others are spread evenly. Default 1. */
  readonly burst?: number;
};

/** What `defineQueue` takes. */
export type QueueOptions = {
  /** 1 … 100 letters, digits, `.`, `_` or `-`; the queue's messages are those that name it. */
  readonly name: string;
  /** Messages in flight at a time, over the fleet. */
  readonly concurrency?: number;
  /** Messages in flight at a time, in one process. */
  readonly concurrencyPerProcess?: number;
  /** Starts over the fleet. */
  readonly rate?: RateOptions;
  /** The same for each group of messages. */
  readonly perGroup?: { readonly concurrency?: number; readonly rate?: RateOptions };
  /**
   * Added to the priorities of its messages where a worker chooses between queues. −1000 … 1000, default 0. Within the queue it changes nothing.
   */
  readonly priority?: number;
  /** After a pause or an outage the fleet starts slowly, and is at full speed after this time. `0s`: at once. Default `30s`. */
  readonly ramp?: Duration;
};

/** A queue as `defineQueue` makes it. */
export type Queue = {
  readonly kind: 'queue';
  readonly name: string;
  readonly priority: number;
  readonly limits: Limits;
};

/**
 * Defines a queue: limits for the whole fleet, which operators may change while it runs (`waybill queues limit`).
 * @throws WaybillError `definition_invalid`
 */
export function defineQueue(options: QueueOptions): Queue {
  const what = titleOf('queue', options);
  checkOptions(what, options, [
    'name',
    'concurrency',
    'concurrencyPerProcess',
    'rate',
    'perGroup',
    'priority',
    'ramp',
  ]);
  const { name, priority = 0, perGroup = {}, ramp } = options;
  if (!isQueueName(name)) refuseDefinition(what, "name must have 1 to 100 letters, digits, '.', '_' or '-'");
  if (!(Number.isInteger(priority) && Math.abs(priority) <= 1_000))
    refuseDefinition(what, 'priority must be a whole number from -1000 to 1000');
  checkOptions(`${what}: perGroup`, perGroup, ['concurrency', 'rate']);
  const limits = refusing(what, () => ({
    ...count('concurrency', options.concurrency),
    ...count('concurrencyPerProcess', options.concurrencyPerProcess),
    ...(options.rate === undefined ? {} : { rate: checkRate('rate', options.rate) }),
    ...count('groupConcurrency', perGroup.concurrency, 'perGroup.concurrency'),
    ...(perGroup.rate === undefined ? {} : { groupRate: checkRate('perGroup.rate', perGroup.rate) }),
  }));
  const rampMs = ramp === undefined ? {} : { rampMs: ramp === '0s' ? 0 : milliseconds(what, 'ramp', ramp) };
  return Object.freeze({ kind: 'queue', name, priority, limits: Object.freeze({ ...limits, ...rampMs }) });
}

function count(limit: keyof Limits, value: unknown, name: string = limit): Limits {
  return value === undefined ? {} : { [limit]: checkCount(name, value) };
}

function refusing(what: string, make: () => Limits): Limits {
  try {
    return make();
  } catch (error) {
    return refuseDefinition(what, (error as WaybillError).message);
  }
}
