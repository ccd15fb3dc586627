// Definitions of endpoints: where webhooks go. An endpoint is one URL of the application's own, or stands for many that customers made.

import { z } from 'zod';
import type { Duration } from '../duration.ts';
import { sealOptions, type SealOptions } from '../message/seal.ts';
import { WaybillError } from '../errors.ts';
import type { Milliseconds } from '../ports.ts';
import { secretsProblem } from '../webhook/signature.ts';
import type { EndpointRef, EndpointTarget, HandlerContext } from './context.ts';
import { defineJob, type Job } from './job.ts';
import { milliseconds, retryPolicy, webhookRetry, type RetryOptions } from './retry.ts';
import { checkOptions, checkPayloadSchema, refuseDefinition, sealingOf, titleOf } from './shape.ts';

/** Where the webhooks of an endpoint go now. */
export type EndpointAddress = {
  /** `https://…`; only public addresses are called. */
  readonly url: string;
  /** `whsec_…`, 24 to 64 bytes in base64. Each signs, so that a receiver accepts the old and the new one while they change. */
  readonly secrets: readonly string[];
};

/** What `resolve` gets: the parts of a handler's context that read. */
export type ResolveContext = Pick<HandlerContext, 'db' | 'database' | 'log' | 'signal' | 'requestId'>;

/** An endpoint that was parked. */
export type ParkedEndpoint = {
  /** As in `to(id)`; null for a definition with a url of its own. */
  readonly id: string | null;
  /** When the first of its failures without a success between them happened. */
  readonly since: Date;
  /** How often it failed since then. */
  readonly failures: number;
  /** The last failure. */
  readonly reason: string;
};

/** An endpoint as `defineEndpoint` makes it. */
export type Endpoint<S extends z.ZodType = z.ZodType> = EndpointTarget<S> & {
  /** The endpoint with this id. @throws WaybillError `endpoint_invalid` */
  to(id: string): EndpointRef<S>;
  /** Null: there is no endpoint with this id any more. @param id empty for a definition with a url of its own */
  resolve(
    ctx: ResolveContext,
    id: string,
  ): Promise<EndpointAddress | null | undefined> | EndpointAddress | null | undefined;
  readonly timeoutMs: Milliseconds;
  readonly parkAfterMs: Milliseconds;
  readonly allowHttp: boolean;
  /** Runs `onParked`, if there is one. */
  readonly parkedJob: Job | null;
};

/** What `defineEndpoint` takes. */
export type EndpointOptions<S extends z.ZodType> = SealOptions & {
  /** 1 … 60 letters, digits, `.`, `_` or `-`. */
  readonly name: string;
  /** The schema of the payload, which is the body of the request. Default: any JSON. */
  readonly payload?: S;
  /** The url of the only endpoint. Instead of `resolve`. */
  readonly url?: string;
  /** The secrets of the only endpoint. Instead of `resolve`. */
  readonly secrets?: readonly string[];
  /**
   * Reads url and secrets of the endpoint with this id, before each attempt: a changed url and a new secret hold for webhooks that wait, too. Null:
   * it was deleted, and its webhooks are dead. What it writes is rolled back.
   */
  resolve?(
    ctx: ResolveContext,
    id: string,
  ): Promise<EndpointAddress | null | undefined> | EndpointAddress | null | undefined;
  /** How often a webhook is attempted, and when. Default: after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h: three days. */
  readonly retry?: RetryOptions;
  /** The time that an endpoint has to answer, from the look-up of its name on. Default 15s, at most 1m. */
  readonly timeout?: Duration;
  /** An endpoint that fails for this time, without a success, is parked. Default 5d. */
  readonly parkAfter?: Duration;
  /** Take `http://` urls too. Default false. Hosts in WAYBILL_WEBHOOK_ALLOW may have them anyway. */
  readonly allowHttp?: boolean;
  /** Tells the owner that the endpoint was parked. It runs as a job, in a transaction. */
  onParked?(ctx: HandlerContext, parked: ParkedEndpoint): Promise<void> | void;
};

const known = [
  'name',
  'payload',
  'url',
  'secrets',
  'resolve',
  'retry',
  'timeout',
  'parkAfter',
  'allowHttp',
  'onParked',
  ...sealOptions,
];

const longestTimeout: Milliseconds = 60_000;

/**
 * Defines where webhooks go.
 * @throws WaybillError `definition_invalid`
 */
export function defineEndpoint<S extends z.ZodType = z.ZodType<unknown>>(
  options: EndpointOptions<S>,
): Endpoint<S> {
  const what = titleOf('endpoint', options);
  checkOptions(what, options, known);
  const { name, onParked, allowHttp = false } = options;
  const payload = options.payload ?? (z.json() as unknown as S);
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]{1,60}$/.test(name))
    refuseDefinition(what, "name must have 1 to 60 letters, digits, '.', '_' or '-'");
  checkPayloadSchema(what, payload);
  if (typeof allowHttp !== 'boolean') refuseDefinition(what, 'allowHttp must be true or false');
  if (onParked !== undefined && typeof onParked !== 'function')
    refuseDefinition(what, 'onParked must be a function');
  const timeoutMs = milliseconds(what, 'timeout', options.timeout ?? '15s');
  if (timeoutMs > longestTimeout) refuseDefinition(what, 'timeout must be at most 1m');
  const isMany = options.resolve !== undefined;
  const endpoint: Endpoint<S> = Object.freeze({
    kind: 'endpoint',
    name,
    payload,
    retry: retryPolicy(what, options.retry, webhookRetry),
    isMany,
    ...sealingOf(what, options),
    to: (id: string) => Object.freeze({ endpoint, id: checkedId(what, isMany, id) }),
    resolve: resolveOf(what, options),
    timeoutMs,
    parkAfterMs: milliseconds(what, 'parkAfter', options.parkAfter ?? '5d'),
    allowHttp,
    parkedJob: onParked ? parkedJobOf(name, onParked) : null,
  });
  return endpoint;
}

type Resolving = Pick<Endpoint, 'resolve'>['resolve'];

function resolveOf<S extends z.ZodType>(what: string, options: EndpointOptions<S>): Resolving {
  const { url, secrets, resolve } = options;
  if (resolve !== undefined) {
    if (typeof resolve !== 'function') refuseDefinition(what, 'resolve must be a function');
    if (url !== undefined || secrets !== undefined)
      refuseDefinition(what, 'resolve returns url and secrets: leave them out beside it');
    return resolve.bind(options);
  }
  if (url === undefined || secrets === undefined)
    refuseDefinition(what, 'give url and secrets, or resolve, which returns them for an id');
  // WAYBILL_WEBHOOK_ALLOW is known where it is called.
  const parsed = typeof url === 'string' && url.length <= 2_048 ? URL.parse(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username + parsed.password !== '')
    refuseDefinition(what, 'url must be a URL such as https://hooks.example.com/orders, without a user');
  const problem = secretsProblem(secrets);
  if (problem !== undefined) refuseDefinition(what, problem);
  const address = Object.freeze({ url, secrets: Object.freeze([...secrets]) });
  return () => address;
}

function checkedId(what: string, isMany: boolean, id: unknown): string {
  if (!isMany)
    throw new WaybillError('endpoint_invalid', `${what} has a url of its own: pass it without to(id)`);
  if (typeof id === 'string' && /^[^\p{Cc}\p{Cs}]{1,130}$/u.test(id)) return id;
  throw new WaybillError(
    'endpoint_invalid',
    `${what}: an id has 1 to 130 characters, and no control characters`,
  );
}

const parkedSchema = z.object({
  id: z.string().nullable(),
  since: z.iso.datetime(),
  failures: z.int(),
  reason: z.string(),
});

function parkedJobOf<S extends z.ZodType>(
  name: string,
  onParked: NonNullable<EndpointOptions<S>['onParked']>,
): Job {
  return defineJob({
    name: parkedJobName(name),
    payload: parkedSchema,
    handler: (ctx, parked) => onParked(ctx, { ...parked, since: new Date(parked.since) }),
  }) as unknown as Job;
}

const parkedJobName = (name: string): string => `webhook:${name}:parked`;
