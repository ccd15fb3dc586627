// The front of a web process that serves several databases: it listens, and hands each request to the server of the database that the request is of.
// Waybill's own routes take it from `?database=`, so that a webhook, a platform's cron and a page can have it in their address; actions take it from the
// application, or from a header, because their arguments belong to the application.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { choiceProblem } from '../config/databases.ts';
import { addressOf } from '../console/addresses.ts';
import type { App } from '../define/app.ts';
import { WaybillError } from '../errors.ts';
import type { Host } from '../process/host.ts';
import { createBare } from './bare.ts';
import { close, listen } from './listen.ts';
import { databaseHeader } from './openapi.ts';

export type Front = {
  /** Serves the requests of a database from now on; the first one opens the port. @returns the address on which the front listens */
  add(host: Host, server: FastifyInstance): Promise<string>;
  /** Takes no more requests and ends when the open ones are answered. */
  close(): Promise<void>;
};

/** Of the whole process or fleet: any server answers them. */
const shared = /^\/(?:livez|readyz|healthz|metrics|openapi\.json|console\/assets\/[^/]+)$/;
const own = /^\/(?:admin|console|cron|inbox|webhooks)(?:\/|$)/;
const header = databaseHeader.toLowerCase();

export function createFront(hosts: readonly Host[], app: Pick<App, 'databaseOf'>): Front {
  const { config } = hosts[0]!;
  const names = hosts.map((host) => host.config.database ?? '');
  const servers = new Map<string, Promise<FastifyInstance>>();
  const server = createBare(hosts[0]!);
  let listening: Promise<string> | undefined;
  let closing: Promise<void> | undefined;

  server.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? '/';
    if (isPage(request, path)) return reply.redirect(addressOf(request.url, names[0]!), 303);
    const target = shared.test(path)
      ? servers.values().next().value!
      : found(servers, await nameOf(request, path, names, app), names);
    const { routing } = await target;
    reply.hijack();
    routing(request.raw, reply.raw);
    return reply;
  });

  return {
    async add(host, one) {
      const ready = Promise.resolve(one.ready()).then(() => one);
      servers.set(host.config.database ?? '', ready);
      await ready;
      return (listening ??= listen(server, config));
    },
    close: () => (closing ??= close(server)),
  };
}

/** @throws WaybillError `unknown_database`; `database_unavailable` for one that has not answered since the process started */
function found<T>(servers: ReadonlyMap<string, T>, name: string, names: readonly string[]): T {
  const one = servers.get(name);
  if (one) return one;
  const problem = choiceProblem(name, names);
  if (problem !== undefined) throw new WaybillError('unknown_database', problem);
  throw new WaybillError(
    'database_unavailable',
    `the database ${name} does not answer; try again in a moment`,
  );
}

/** @throws WaybillError `database_required`, and what the application's `databaseOf` throws */
async function nameOf(
  request: FastifyRequest,
  path: string,
  names: readonly string[],
  app: Pick<App, 'databaseOf'>,
): Promise<string> {
  if (own.test(path)) return takeDatabase(request) ?? required(names, 'add ?database=NAME to the address');
  const { method, headers } = request;
  if (app.databaseOf === undefined) {
    const name = headers[header];
    return typeof name === 'string' ? name : required(names, `give one in the header ${databaseHeader}`);
  }
  const name = await app.databaseOf({ method, path, headers });
  return typeof name === 'string'
    ? name
    : required(names, "the application's databaseOf found none for this request");
}

function required(names: readonly string[], how: string): never {
  throw new WaybillError('database_required', `there are several databases, ${names.join(', ')}: ${how}`);
}

/** A person who opens the console or the inbox without a database gets the first one. */
function isPage({ method, url }: FastifyRequest, path: string): boolean {
  return method === 'GET' && /^\/(?:console|inbox)(?:\/|$)/.test(path) && !shared.test(path) && !isNamed(url);
}

const parameter = /(?:^|&)database=([^&]*)/;

const isNamed = (url: string): boolean => parameter.test(url.split('?')[1] ?? '');

/** Takes the parameter out of the address: the routes behind the front know nothing of it. */
function takeDatabase({ raw }: FastifyRequest): string | undefined {
  const [path = '/', query = ''] = (raw.url ?? '/').split(/\?(.*)/s);
  const name = parameter.exec(query)?.[1];
  if (name === undefined) return undefined;
  const rest = query.replace(parameter, '').replace(/^&/, '');
  raw.url = rest === '' ? path : `${path}?${rest}`;
  return decoded(name);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no database has such a name
  }
}
