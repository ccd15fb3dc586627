// A job: work that is done after the commit, by a worker, until it succeeds or its attempts are used up.

import type { z } from 'zod';
import type { Milliseconds } from '../ports.ts';
import type { HandlerContext, JobTarget } from './context.ts';
import { milliseconds, retryPolicy, type Duration, type RetryOptions } from './retry.ts';
import { checkOptions, checkPayloadSchema, refuseDefinition } from './shape.ts';

export type Job<S extends z.ZodType = z.ZodType> = JobTarget<S> & {
  /** One attempt's; then it counts as failed. */
  readonly timeoutMs: Milliseconds;
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void>;
};

export type JobOptions<S extends z.ZodType> = {
  readonly name: string;
  readonly payload: S;
  /** Default `jobs`. */
  readonly queue?: string;
  readonly retry?: RetryOptions;
  /** Of one attempt; default 15m. */
  readonly timeout?: Duration;
  handler(ctx: HandlerContext, payload: z.output<S>): Promise<void>;
};

export const jobQueue = 'jobs';

export function defineJob<S extends z.ZodType>(options: JobOptions<S>): Job<S> {
  const { name, payload, handler, queue = jobQueue } = options;
  const what = `job ${name}`;
  checkOptions(what, options, ['name', 'payload', 'queue', 'retry', 'timeout', 'handler']);
  checkPayloadSchema(what, payload);
  if (typeof handler !== 'function') refuseDefinition(what, 'handler must be a function');
  const timeoutMs = milliseconds(what, 'timeout', options.timeout ?? '15m');
  return Object.freeze({
    kind: 'job',
    name,
    payload,
    queue,
    retry: retryPolicy(what, options.retry),
    timeoutMs,
    handler,
  });
}
