// Definitions of actions: an action is one call from outside that runs in one transaction.

import type { z } from 'zod';
import type { ActionContext } from './context.ts';
import type { Duration } from '../duration.ts';
import type { Milliseconds } from '../ports.ts';
import type { Event } from './event.ts';
import { milliseconds } from './retry.ts';
import { checkArgumentsSchema, checkOptions, checkSchema, refuseDefinition, titleOf } from './shape.ts';

export const accessLevels = ['public', 'authenticated', 'system'] as const;
/** Who may call an action: `public`, everybody; `authenticated`, known callers; `system`, no one over HTTP. */
export type Access = (typeof accessLevels)[number];

export const httpMethods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
/** A route of an action, such as `POST /orders`; parts of the path that begin with `:` are arguments. */
export type HttpRoute = { readonly method: (typeof httpMethods)[number]; readonly path: string };

/** An action as `defineAction` makes it: a call from outside that runs in one transaction. `T` is what the handler returns. */
export type Action<A extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType, T = z.output<R>> = {
  readonly kind: 'action';
  /** Unique among the actions of the application. */
  readonly name: string;
  /** The schema of the arguments. */
  readonly args: A;
  /** `public`: everybody; `authenticated`: known callers; `system`: never over HTTP. */
  readonly access: Access;
  /** The schema that encodes the result; undefined: the result is sent as it is. */
  readonly result: R | undefined;
  /** Whether the action may run again after a serialisation failure, a deadlock or a lost connection. */
  readonly safeToRetry: boolean;
  /** The events that it may record. */
  readonly emits: readonly Event[];
  /** Its route besides `POST /actions/:name`. */
  readonly http: HttpRoute | undefined;
  /** Whether anonymous callers may send an Idempotency-Key. */
  readonly anonymousKeys: boolean;
  /** The limit for one run, including its transaction. */
  readonly timeoutMs: Milliseconds;
  /** Runs the action. What it writes and enqueues through `ctx` commits when it returns, and is rolled back when it throws. */
  handler(ctx: ActionContext, args: z.output<A>): Promise<T> | T;
};

/** What `defineAction` takes. */
export type ActionOptions<
  A extends z.ZodType,
  R extends z.ZodType,
  E extends readonly Event[],
  T = z.output<R>,
> = Pick<Action<A>, 'name' | 'args' | 'access'> & {
  /** Encodes the result; a result that does not match it throws `result_invalid`. */
  readonly result?: R;
  /**
   * The action runs up to three times after a serialisation failure, a deadlock or while the database is unreachable.
   * Each enqueue then needs a deliveryKey.
   */
  readonly safeToRetry?: boolean;
  /** The events that the action may record. Recording another is a type error and throws `event_not_declared`. */
  readonly emits?: E;
  /** A route besides `POST /actions/:name`, such as `POST /orders` or `GET /orders/:orderId`. */
  readonly http?: string;
  /**
   * Allows an Idempotency-Key from anonymous callers too. They share one namespace: a caller who repeats another's key and body
   * gets the other's answer. So keys must be long and random.
   */
  readonly anonymousKeys?: boolean;
  /** The limit for one run, default 30s. After it, `ctx.signal` aborts, the transaction rolls back and the caller gets `action_timeout`. */
  readonly timeout?: Duration;
  /** Runs the action. What it writes and enqueues through `ctx` commits when it returns, and is rolled back when it throws. */
  handler(ctx: ActionContext<E[number]>, args: z.output<A>): Promise<T> | T;
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

/**
 * Defines an action: a call whose changes and messages commit in one transaction.
 * @throws WaybillError `definition_invalid`
 */
export function defineAction<
  A extends z.ZodType,
  R extends z.ZodType = z.ZodUnknown,
  const E extends readonly Event[] = readonly [],
  T extends z.output<R> = z.output<R>,
>(options: ActionOptions<A, R, E, T>): Action<A, R, T> {
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
