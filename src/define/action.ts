// An action: one call from outside, one transaction.

import type { z } from 'zod';
import type { ActionContext } from './context.ts';
import type { Milliseconds } from '../ports.ts';
import type { Event } from './event.ts';
import { milliseconds, type Duration } from './retry.ts';
import { checkArgumentsSchema, checkOptions, checkSchema, refuseDefinition, titleOf } from './shape.ts';

export const accessLevels = ['public', 'authenticated', 'system'] as const;
export type Access = (typeof accessLevels)[number];

export const httpMethods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type HttpRoute = { readonly method: (typeof httpMethods)[number]; readonly path: string };

export type Action<A extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> = {
  readonly kind: 'action';
  readonly name: string;
  readonly args: A;
  readonly access: Access;
  readonly result: R | undefined;
  readonly safeToRetry: boolean;
  readonly emits: readonly Event[];
  readonly http: HttpRoute | undefined;
  readonly anonymousKeys: boolean;
  /** Of one run, its transaction included. */
  readonly timeoutMs: Milliseconds;
  handler(ctx: ActionContext, args: z.output<A>): Promise<z.output<R>> | z.output<R>;
};

export type ActionOptions<A extends z.ZodType, R extends z.ZodType, E extends readonly Event[]> = {
  readonly name: string;
  readonly args: A;
  /** `system`: never over HTTP. */
  readonly access: Access;
  readonly result?: R;
  /** It may be run again by itself after a serialisation failure, a deadlock or a lost connection. Each enqueue then needs a deliveryKey. */
  readonly safeToRetry?: boolean;
  /** The events that it may record; another one is a type error, and an error when it is recorded. */
  readonly emits?: E;
  /** A route of its own, such as `POST /orders` or `GET /orders/:orderId`. */
  readonly http?: string;
  /**
   * Also callers that nobody knows may send an Idempotency-Key. They share one namespace: whoever repeats key and body of another one reads the
   * answer of that one, so the key must be long and random.
   */
  readonly anonymousKeys?: boolean;
  /** Of one run; default 30s. Then its signal aborts, its transaction is rolled back and the caller is told. */
  readonly timeout?: Duration;
  handler(ctx: ActionContext<E[number]>, args: z.output<A>): Promise<z.output<R>> | z.output<R>;
};

const known = [
  'name',
  'args',
  'access',
  'result',
  'safeToRetry',
  'emits',
  'http',
  'anonymousKeys',
  'timeout',
  'handler',
];

export function defineAction<
  A extends z.ZodType,
  R extends z.ZodType = z.ZodUnknown,
  const E extends readonly Event[] = readonly [],
>(options: ActionOptions<A, R, E>): Action<A, R> {
  const what = titleOf('action', options);
  checkOptions(what, options, known);
  const { name, args, access, result, safeToRetry = false, emits = [], handler } = options;
  checkArgumentsSchema(what, args);
  if (result !== undefined) checkSchema(what, 'result', result);
  if (!accessLevels.includes(access))
    refuseDefinition(what, `access must be one of ${accessLevels.join(', ')}`);
  if (emits.some((event) => event?.kind !== 'event'))
    refuseDefinition(what, 'emits must hold events made by defineEvent');
  if (typeof handler !== 'function') refuseDefinition(what, 'handler must be a function');
  const timeoutMs = milliseconds(what, 'timeout', options.timeout ?? '30s');
  const http = options.http === undefined ? undefined : routeOf(what, options.http);
  if (http && access === 'system')
    refuseDefinition(what, 'access system is never over HTTP: leave http away');
  return Object.freeze({
    kind: 'action',
    name,
    args,
    access,
    result,
    safeToRetry,
    emits: Object.freeze([...emits]),
    http,
    anonymousKeys: options.anonymousKeys === true,
    timeoutMs,
    handler,
  });
}

const maxRoute = 1_000;
const segment = /^:?[A-Za-z0-9_.~-]+$/;

function routeOf(what: string, text: string): HttpRoute {
  const [verb, path = '', ...more] = text.length <= maxRoute ? text.split(' ') : [];
  const method = httpMethods.find((one) => one === verb);
  const [root, ...parts] = path.split('/');
  const right =
    path === '/' || (root === '' && parts.length > 0 && parts.every((part) => segment.test(part)));
  if (method && right && more.length === 0) return Object.freeze({ method, path });
  return refuseDefinition(
    what,
    `http must be a method and a path, such as 'POST /orders' or 'GET /orders/:orderId', not '${text.slice(0, 200)}'`,
  );
}
