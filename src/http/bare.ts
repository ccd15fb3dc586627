// A server without routes: its limits, its request ids, and errors as problem+json.

import { randomUUID } from 'node:crypto';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { isWaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { checkTexts } from './body.ts';
import { bodyLimit, problemBody, problemOf, refuseUnparsed } from './problems.ts';

export function createBare(host: Pick<Host, 'log'>): FastifyInstance {
  const server = fastify({
    bodyLimit,
    requestTimeout: 30_000, // for the request to arrive, not for the answer
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 2_000 }, // a name of 200 letters, percent-encoded
    clientErrorHandler: refuseUnparsed,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply, host),
  });
  server.setErrorHandler((error, request, reply) => sendProblem(error, request, reply, host));
  return server;
}

/** Uses the caller's id only if it is valid, because the log and every recorded message contain it. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Reports text in path or query that Postgres cannot store, instead of the statement that failed because of it. */
function blamed(error: unknown, { query, params }: FastifyRequest): unknown {
  if (isWaybillError(error)) return error;
  try {
    checkTexts((query ?? {}) as object);
    checkTexts((params ?? {}) as object);
    return error;
  } catch (cause) {
    return cause;
  }
}

function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { log }: Pick<Host, 'log'>,
): FastifyReply {
  const problem = problemOf(blamed(error, request), request.routeOptions?.bodyLimit);
  const facts = {
    err: error,
    requestId: request.id,
    method: request.method,
    route: request.routeOptions?.url ?? null,
  };
  if (problem.status >= 500 && !(isWaybillError(error) && problem.status === 503))
    log.error(facts, `${problem.status} ${problem.code}`);
  return reply
    .code(problem.status)
    .headers(problem.headers ?? {})
    .header('x-request-id', request.id)
    .header('x-content-type-options', 'nosniff')
    .type('application/problem+json; charset=utf-8')
    .send(problemBody(problem, request.id));
}
