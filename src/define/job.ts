// Definitions of jobs: a worker runs a job after the commit until it succeeds or its attempts are used up.

import type { z } from 'zod';
import type { OnDead } from '../message/flow.ts';
import { sealOptions, type SealOptions } from '../message/seal.ts';
import type { Milliseconds } from '../ports.ts';
import type { HandlerContext, JobTarget } from './context.ts';
import type { Duration } from '../duration.ts';
import { milliseconds, retryPolicy, type RetryOptions } from './retry.ts';
import { checkOptions, checkPayloadSchema, onDeadOf, refuseDefinition, sealingOf, titleOf } from './shape.ts';

/** A job as `defineJob` makes it. */
export type Job<S extends z.ZodType = z.ZodType> = JobTarget<S> & {
  /** The limit for one attempt; after it, the attempt has failed. */
  readonly timeoutMs: Milliseconds;
  /** The most handlers that run at once in one process; undefined: the number of its slots. */
  readonly concurrency: number | undefined;
  /** Does the work. The message is delivered when it returns; when it throws, the retry policy decides. */
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void> | void;
};

/** What `defineJob` takes. */
export type JobOptions<S extends z.ZodType> = Pick<Job<S>, 'name' | 'payload' | 'handler'> &
  SealOptions & {
    /** Default `jobs`. A job with `concurrency` has its own queue, by default named after the job. */
    readonly queue?: string;
    /** How often it is attempted, and the delays between attempts. */
    readonly retry?: RetryOptions;
    /** The limit for one attempt, default 15m. After it, `ctx.signal` aborts and the attempt has failed. */
    readonly timeout?: Duration;
    /** The most handlers that run at once in one process. 1 … 500, default: the number of its slots. Nothing else may share the queue. */
    readonly concurrency?: number;
    /** What happens to messages with the same order key when one is dead: they wait for a person (`block`, the default), or go on (`skip`). */
    readonly onDead?: OnDead;
  };

export const jobQueue = 'jobs';

const known = [
  'name',
  'payload',
  'queue',
  'retry',
  'timeout',
  'concurrency',
  'onDead',
  ...sealOptions,
  'handler',
];

/**
 * Defines a job: work that a worker does after the commit.
 * @throws WaybillError `definition_invalid`
 */
export function defineJob<S extends z.ZodType>(options: JobOptions<S>): Job<S> {
  const what = titleOf('job', options);
  checkOptions(what, options, known);
  const { name, payload, handler, concurrency } = options;
  const { queue = concurrency === undefined ? jobQueue : name } = options;
  checkPayloadSchema(what, payload);
  if (typeof handler !== 'function') refuseDefinition(what, 'handler must be a function');
  if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 500))
    refuseDefinition(what, 'concurrency must be a whole number from 1 to 500');
  const timeoutMs = milliseconds(what, 'timeout', options.timeout ?? '15m');
  return Object.freeze({
    kind: 'job',
    name,
    payload,
    queue,
    retry: retryPolicy(what, options.retry),
    timeoutMs,
    concurrency,
    onDead: onDeadOf(what, options.onDead),
    ...sealingOf(what, options),
    handler,
  });
}
