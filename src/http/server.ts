// Creates the web server: all routes, request ids, and errors as problem+json. service.ts opens the port.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ActionRunner } from '../action/run.ts';
import type { CheckPayload } from '../acts/copy.ts';
import { checkPayload } from '../define/check.ts';
import type { Registry } from '../define/registry.ts';
import { WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { addActions } from './actions.ts';
import { addAdmin } from './admin.ts';
import { createIdentify, operatorOf } from './auth.ts';
import { createBare } from './bare.ts';
import { parseBody } from './body.ts';
import { addConsole } from './console.ts';
import type { Refuse } from './console-session.ts';
import { addDrain, type FetchHandler } from './drain.ts';
import { addHealth } from './health.ts';
import { addInbox } from './inbox.ts';
import { addOpenApi } from './openapi.ts';
import { refuseOtherSites } from './origin.ts';
import { databasesOf, keepDatabase } from './page-addresses.ts';
import { createWrongKeys } from './people.ts';
import { createChangeWatch } from './change-watch.ts';
import { addWebhooks } from './webhooks.ts';

export type WebPorts = {
  readonly registry: Registry;
  readonly runner: ActionRunner;
  readonly notify: () => void;
  readonly drain: FetchHandler;
  /** Called when the grace period is over, to end running actions. */
  readonly giveUp: () => void;
};

export function createServer(host: Host, { registry, runner, notify, drain }: WebPorts): FastifyInstance {
  const { config, db } = host;
  const server = createBare(host);
  if (host.all.length > 1) keepDatabase(server, config.database ?? '');
  checkHeaders(server);
  refuseOtherSites(server, config.knownHosts);
  readBodies(server);
  logRequests(server, host);
  sayGoodbye(server, host);
  const unknown = answerUnknown(server);
  addHealth(server, host);
  addOpenApi(server, registry, host.version, databasesOf(host)?.names);
  addActions(server, { registry, runner, identify: createIdentify(config.apiKey, registry.app) });
  addDrain(server, drain);
  const hasConsole = config.adminKeys.length > 0 || registry.app.console !== undefined;
  addInbox(server, { db, config, hasConsole, databases: databasesOf(host) });
  const wrongKeys = createWrongKeys(host.clock, () => host.metrics.adminRefused.inc());
  const watch = createChangeWatch(db, host.clock, (err) =>
    host.log.warn({ err }, 'open pages: the changes cannot be read; tried again every second'),
  );
  server.addHook('preClose', async () => watch.end());
  const check: CheckPayload = (of, payload) => checkPayload(registry, of, payload);
  addConsole(server, { host, app: registry.app, notify, wrongKeys, watch, check, unknown });
  addAdmin(server, host, { notify, wrongKeys, watch, check });
  addWebhooks(server, host);
  return server;
}

function readBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      // The route decides about an empty body, because some need none.
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

/** Runs before every other check of a request. */
function checkHeaders(server: FastifyInstance): void {
  server.addHook('onRequest', async ({ raw }, reply) => {
    void reply.header('x-content-type-options', 'nosniff');
    // Node uses the first of several; a proxy may have checked another one.
    const names = raw.rawHeaders.filter((_, place) => place % 2 === 0);
    if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1)
      throw new WaybillError('authorization_repeated', 'Authorization is given more than once: send one');
  });
}

function sayGoodbye(server: FastifyInstance, { signal }: Host): void {
  // During shutdown, clients must open a new connection for their next request.
  server.addHook('onSend', async (_, reply) => {
    if (signal.aborted) void reply.header('connection', 'close');
  });
}

function logRequests(server: FastifyInstance, { log }: Host): void {
  server.addHook('onRequest', async ({ id: requestId, method, routeOptions }, { raw }) => {
    raw.once('close', () => {
      if (raw.writableFinished || routeOptions.config.isStream === true) return;
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

/** The target and the operator of an admin request. An address in the parameters is not logged. */
function actOf(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  if (!/^\/(?:admin|console)\//.test(request.routeOptions.url ?? '')) return {};
  const { id: message, name } = request.params as { readonly id?: string; readonly name?: string };
  return { message, name: name?.slice(0, 200), by: request.consoleSession?.by ?? operatorOf(request) };
}

/**
 * Answers 405 when the path has another method, else 404.
 * @returns throws that answer, for a part with pages of its own
 */
function answerUnknown(server: FastifyInstance): Refuse {
  const routes: { readonly methods: readonly string[]; readonly path: RegExp }[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    if (url.endsWith('/*')) return; // it answers as this does
    const path = new RegExp(`^${url.replaceAll('.', '\\.').replaceAll(/:[^/]+/g, '[^/]+')}$`);
    routes.push({ methods: [method].flat(), path });
  });
  const refuse: Refuse = (request, reply) => {
    const path = request.url.split('?')[0] ?? '/';
    const allowed = new Set(routes.flatMap((route) => (route.path.test(path) ? route.methods : [])));
    if (allowed.size === 0) throw new WaybillError('not_found', 'there is nothing at this path');
    void reply.header('allow', [...allowed].join(', '));
    throw new WaybillError('method_not_allowed', `this path takes ${[...allowed].join(', ')}`);
  };
  server.setNotFoundHandler(refuse);
  return refuse;
}
