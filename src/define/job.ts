// A job: work that is done after the commit, by a worker, until it succeeds or its attempts are used up.

import type { z } from 'zod';
import type { Milliseconds } from '../ports.ts';
import type { HandlerContext, JobTarget } from './context.ts';
import { milliseconds, retryPolicy, type Duration, type RetryOptions } from './retry.ts';
import { checkOptions, checkPayloadSchema, refuseDefinition, titleOf } from './shape.ts';

export type Job<S extends z.ZodType = z.ZodType> = JobTarget<S> & {
  /** One attempt's; then it counts as failed. */
  readonly timeoutMs: Milliseconds;
  /** Handlers at a time in one process; undefined: as many as it has slots. */
  readonly concurrency: number | undefined;
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void> | void;
};

export type JobOptions<S extends z.ZodType> = {
  readonly name: string;
  readonly payload: S;
  /** Default `jobs`, and for a job with `concurrency` a queue of its own, named after it. */
  readonly queue?: string;
  readonly retry?: RetryOptions;
  /** Of one attempt; default 15m. */
  readonly timeout?: Duration;
  /** Handlers at a time in one process: 1 … 500; default: as many as it has slots. The job has its queue to itself. */
  readonly concurrency?: number;
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void> | void;
};

export const jobQueue = 'jobs';

export function defineJob<S extends z.ZodType>(options: JobOptions<S>): Job<S> {
  const what = titleOf('job', options);
  checkOptions(what, options, ['name', 'payload', 'queue', 'retry', 'timeout', 'concurrency', 'handler']);
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
    handler,
  });
}
