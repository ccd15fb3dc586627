// Serves actions over HTTP: POST /actions/:name, and their own routes. Authorization is checked before the body is read.

import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify';
import type { ActionRunner, Call } from '../action/run.ts';
import type { Action, HttpRoute } from '../define/action.ts';
import type { Invoker } from '../define/context.ts';
import type { Registry } from '../define/registry.ts';
import { wordsOf, WaybillError } from '../errors.ts';
import { isDeliveryKey, isTraceparent } from '../message/message.ts';
import type { Identify } from './auth.ts';
import { inputReader, type Inputs } from './inputs.ts';
import { tracedRequest } from '../trace/message.ts';

export type ActionRoutes = {
  readonly registry: Registry;
  readonly runner: ActionRunner;
  readonly identify: Identify;
};

export function addActions(server: FastifyInstance, { registry, runner, identify }: ActionRoutes): void {
  const callers = new WeakMap<FastifyRequest, Invoker>();

  function authorizing(nameOf: (request: FastifyRequest) => string) {
    return async (request: FastifyRequest): Promise<void> => {
      const invoker = await identify(request);
      runner.authorize(nameOf(request), invoker);
      callers.set(request, invoker);
    };
  }

  const run: Run = async (request, reply, name, args) => {
    const call = callOf(request, reply, callers.get(request) ?? { type: 'anonymous' });
    const { method, routeOptions } = request;
    const { result, repeated } = await tracedRequest(
      { method, route: routeOptions.url ?? '', traceparent: call.traceparent },
      () => runner.call(name, args, call),
    ).catch((error: unknown) => {
      throw error instanceof Error ? error : thrown(error); // Fastify would send any other value as the answer
    });
    if (repeated) void reply.header('idempotency-replayed', 'true');
    return { result };
  };

  const named = (request: FastifyRequest): string => (request.params as { name: string }).name;
  server.post('/actions/:name', {
    onRequest: authorizing(named),
    handler: (request, reply) => run(request, reply, named(request), request.body ?? emptyBody()),
  });
  for (const action of registry.app.actions)
    if (action.http)
      addRoute(
        server,
        action,
        action.http,
        authorizing(() => action.name),
        run,
      );
}

function thrown(value: unknown): Error {
  return new Error(`threw what is no Error: ${wordsOf(value)}`, { cause: value });
}

type Run = (
  request: FastifyRequest,
  reply: FastifyReply,
  name: string,
  args: unknown,
) => Promise<{ result: unknown }>;

function addRoute(
  server: FastifyInstance,
  action: Action,
  { method, path }: HttpRoute,
  onRequest: (request: FastifyRequest) => Promise<void>,
  run: Run,
): void {
  const read = inputReader(action);
  const bodyExpected = method !== 'GET' && method !== 'DELETE' && !path.includes(':');
  const handler: RouteHandlerMethod = (request, reply) => {
    const body = (request.body ?? (bodyExpected ? emptyBody() : {})) as Inputs['body'];
    const { params, query } = request as { params: Inputs['params']; query: Inputs['query'] };
    return run(request, reply, action.name, read({ params, query, body }));
  };
  server.route({ method, url: path, onRequest, handler });
}

function emptyBody(): never {
  throw new WaybillError('body_empty', 'the body is empty; a JSON object is expected, {} at least');
}

function callOf(request: FastifyRequest, reply: FastifyReply, invoker: Invoker): Call {
  const { traceparent } = request.headers;
  return {
    invoker,
    requestId: request.id,
    idempotencyKey: idempotencyKeyOf(request),
    credential: credentialOf(request),
    signal: hungUp(reply),
    traceparent: isTraceparent(traceparent) ? traceparent : undefined,
  };
}

/** A hash of the caller's credentials; undefined without any. */
function credentialOf({ headers: { authorization, cookie } }: FastifyRequest): string | undefined {
  if (authorization === undefined && cookie === undefined) return undefined;
  return createHash('sha256')
    .update(JSON.stringify([authorization, cookie]))
    .digest('hex');
}

/** @throws WaybillError `idempotency_key_invalid` */
function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined || isDeliveryKey(key)) return key;
  throw new WaybillError(
    'idempotency_key_invalid',
    'Idempotency-Key must be given once and have 1 to 255 printable characters',
  );
}

function callerGone(): WaybillError {
  return new WaybillError('caller_gone', 'the caller hung up before the answer');
}

/** Aborts when the caller disconnects before the answer. `request.signal` aborts as soon as the body has been read. */
function hungUp({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => raw.writableFinished || gone.abort(callerGone()));
  return gone.signal;
}
