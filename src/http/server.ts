// The web server: routes put together, request ids, every error as a problem. It opens no port by itself.

import { randomUUID } from 'node:crypto';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { ActionRunner } from '../action/run.ts';
import type { Registry } from '../define/registry.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { addActions } from './actions.ts';
import { addAdmin } from './admin.ts';
import { createIdentify, operatorOf } from './auth.ts';
import { checkTexts, parseBody } from './body.ts';
import { addDrain, type FetchHandler } from './drain.ts';
import { addHealth } from './health.ts';
import { addInbox } from './inbox.ts';
import { addOpenApi } from './openapi.ts';
import { refuseOtherSites } from './origin.ts';
import { bodyLimit, problemBody, problemOf, refuseUnparsed } from './problems.ts';
import { addWebhooks } from './webhooks.ts';

export type WebPorts = {
  readonly registry: Registry;
  readonly runner: ActionRunner;
  readonly notify: () => void;
  readonly drain: FetchHandler;
  /** Called when the grace period is over: actions that still run end. */
  readonly giveUp: () => void;
};

export function createServer(host: Host, { registry, runner, notify, drain }: WebPorts): FastifyInstance {
  const { config, db } = host;
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
  checkHeaders(server);
  refuseOtherSites(server, config.knownHosts);
  readBodies(server);
  logRequests(server, host);
  sayGoodbye(server, host);
  answerUnknown(server);
  addHealth(server, host);
  addOpenApi(server, registry, host.version);
  addActions(server, { registry, runner, identify: createIdentify(config.apiKey, registry.app) });
  addDrain(server, drain);
  addInbox(server, { db, config });
  addAdmin(server, { db, adminKey: config.adminKey, notify });
  addWebhooks(server, host);
  return server;
}

/** The caller's id if it is a sane one: it goes into the log and into every message that the request records. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && /^[A-Za-z0-9._:-]{1,128}$/.test(given) ? given : randomUUID();
}

function readBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      // An empty body is for the route to judge: some need none.
      done(null, body.length === 0 ? undefined : parseBody(body as Buffer, request.headers['content-type']));
    } catch (error) {
      done(error as Error);
    }
  });
  server.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    const encoding = request.headers['content-encoding'] ?? 'identity';
    if (encoding.toLowerCase() !== 'identity')
      throw new WaybillError(
        'unsupported_content_encoding',
        'compressed bodies are not accepted: send it without Content-Encoding',
      );
  });
}

/** For every answer, and before anything of a request is believed. */
function checkHeaders(server: FastifyInstance): void {
  server.addHook('onRequest', async ({ raw }, reply) => {
    void reply.header('x-content-type-options', 'nosniff');
    // Node takes the first of several; whoever stands before us may have checked another one.
    const names = raw.rawHeaders.filter((_, place) => place % 2 === 0);
    if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1)
      throw new WaybillError('authorization_repeated', 'Authorization is given more than once: send one');
  });
}

function sayGoodbye(server: FastifyInstance, { signal }: Host): void {
  // On the way out, whoever keeps a connection open is told to come back over another one.
  server.addHook('onSend', async (_, reply) => {
    if (signal.aborted) void reply.header('connection', 'close');
  });
}

function logRequests(server: FastifyInstance, { log }: Host): void {
  server.addHook('onRequest', async ({ id: requestId, method, routeOptions }, { raw }) => {
    raw.once('close', () => {
      if (raw.writableFinished) return;
      log.info(
        { requestId, method, route: routeOptions.url ?? null },
        'the caller hung up before the answer',
      );
    });
  });
  server.addHook('onResponse', async (request, reply) => {
    const facts = {
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ...actOf(request),
    };
    if (request.method === 'GET' || request.method === 'HEAD') log.debug(facts, 'answered');
    else log.info(facts, 'answered');
  });
}

/** Of an act of an operator: on what, and by whom. An address among the parameters is nobody's business. */
function actOf(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  if (!request.routeOptions.url?.startsWith('/admin/')) return {};
  const { id: message, name } = request.params as { readonly id?: string; readonly name?: string };
  return { message, name: name?.slice(0, 200), by: operatorOf(request) };
}

/** 405 when the path is known with another method, else 404. */
function answerUnknown(server: FastifyInstance): void {
  const routes: { readonly methods: readonly string[]; readonly path: RegExp }[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    const path = new RegExp(`^${url.replaceAll('.', '\\.').replaceAll(/:[^/]+/g, '[^/]+')}$`);
    routes.push({ methods: [method].flat(), path });
  });
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '/';
    const allowed = new Set(routes.flatMap((route) => (route.path.test(path) ? route.methods : [])));
    if (allowed.size === 0) throw new WaybillError('not_found', 'there is nothing at this path');
    void reply.header('allow', [...allowed].join(', '));
    throw new WaybillError('method_not_allowed', `this path takes ${[...allowed].join(', ')}`);
  });
}

/** What path and query hold may be what no database stores: then that is what went wrong, and not the statement that it went into. */
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
  { log }: Host,
): FastifyReply {
  const problem = problemOf(blamed(error, request));
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
