// The front of a web process with WAYBILL_DATABASES: it listens, and hands each request to the server of the database that the request is of. One that
// this process does not serve is refused, because a row in the wrong database is hard to find.
// Waybill's own routes take it from `?database=`, so that a webhook, a platform's cron and a page can have it in their address; actions take it from the
// application, or from a header, because their arguments belong to the application.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { choiceProblem, namesOf } from '../config/databases.ts';
import { addressOf } from '../console/addresses.ts';
import { solo, type Databases } from '../console/frame.ts';
import { problemView } from '../console/problem.ts';
import type { App } from '../define/app.ts';
import { WaybillError } from '../errors.ts';
import { shared, soon } from '../process/health.ts';
import type { Host } from '../process/host.ts';
import { createBare } from './bare.ts';
import { htmlType, pageHeaders } from './console.ts';
import { close, listen } from './listen.ts';
import { databaseHeader } from './openapi.ts';
import { problemOf } from './problems.ts';

export type Front = {
  /** Serves the requests of a database from now on; the first one opens the port. @returns the address on which the front listens */
  add(host: Host, server: FastifyInstance): Promise<string>;
  /** Takes no more requests and ends when the open ones are answered. */
  close(): Promise<void>;
};

/** Of the whole process or fleet: any server answers them. */
const ofProcess = /^\/(?:livez|readyz|healthz|metrics|openapi\.json|console\/assets\/[^/]+)$/;
/** Waybill's own routes. */
const own = /^\/(?:admin|console|cron|inbox|webhooks)(?:\/|$)/;
const header = databaseHeader.toLowerCase();
/** A person waits for no database longer than this. */
const answerMs = 1_000;

export function createFront(hosts: readonly Host[], app: Pick<App, 'databaseOf'>): Front {
  const { config } = hosts[0]!;
  const names = hosts.map((host) => host.config.database ?? '');
  const fleet = namesOf(config.databases);
  const servers = new Map<string, Promise<FastifyInstance>>();
  const server = createBare(hosts[0]!);
  const first = shared(() => firstThatAnswers(hosts), hosts[0]!.clock);
  let listening: Promise<string> | undefined;
  let closing: Promise<void> | undefined;

  server.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? '/';
    if (names.length > 1 && isPage(request, path))
      return reply.redirect(addressOf(request.url, await first()), 303);
    const name = ofProcess.test(path) ? undefined : await nameOf(request, path, names, app);
    const target = name === undefined ? servers.values().next().value! : servers.get(name);
    if (target === undefined)
      return refuse(request, reply, notFound(name!, names, fleet, isHidden(path, app)), {
        path,
        databases: names.length > 1 ? { names, current: name! } : null,
      });
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

/** Where the application chooses the database of an action, its callers do not learn the names. */
const isHidden = (path: string, { databaseOf }: Pick<App, 'databaseOf'>): boolean =>
  databaseOf !== undefined && !own.test(path);

/** `unknown_database`, `database_not_served`, or `database_unavailable` for one that has not answered since the process started */
function notFound(
  name: string,
  names: readonly string[],
  fleet: readonly string[],
  hidden: boolean,
): WaybillError {
  const problem = choiceProblem(name, fleet);
  const unknown = "the application's databaseOf named a database that is not of this fleet";
  if (problem !== undefined) return new WaybillError('unknown_database', hidden ? unknown : problem);
  const which = hidden ? 'the database of this request' : `the database ${name}`;
  if (!names.includes(name)) {
    const only = hidden ? '' : `: it serves ${names.join(', ')} alone`;
    return new WaybillError('database_not_served', `this process does not serve ${which}${only}`);
  }
  return new WaybillError('database_unavailable', `${which} does not answer; try again in a moment`);
}

/** A person at the console or the inbox gets a page. */
function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  error: WaybillError,
  { path, databases }: { readonly path: string; readonly databases: Databases | null },
): FastifyReply {
  const isBrowser = request.headers.accept?.includes('text/html') === true;
  if (!isBrowser || !/^\/(?:console|inbox)(?:\/|$)/.test(path)) throw error;
  const problem = problemOf(error);
  const { title, content } = problemView(problem, request.id);
  return reply
    .code(problem.status)
    .headers(pageHeaders)
    .type(htmlType)
    .send(solo(title, content, databases));
}

/**
 * A process that serves one database needs no name from a caller.
 * @returns undefined: any server answers
 * @throws WaybillError `database_required`, and what the application's `databaseOf` throws
 */
async function nameOf(
  request: FastifyRequest,
  path: string,
  names: readonly string[],
  app: Pick<App, 'databaseOf'>,
): Promise<string | undefined> {
  const only = names.length === 1 ? names[0] : undefined;
  if (own.test(path)) {
    const name = takeDatabase(request) ?? only;
    if (name !== undefined || path.startsWith('/webhooks/')) return name; // a report concerns all
    return required(names, 'add ?database=NAME to the address');
  }
  const { method, headers } = request;
  if (app.databaseOf === undefined) {
    const name = headers[header];
    if (typeof name === 'string') return name;
    return only ?? required(names, `give one in the header ${databaseHeader}`);
  }
  const name = await app.databaseOf({ method, path, headers });
  return typeof name === 'string'
    ? name
    : required([], "the application's databaseOf found none for this request");
}

/** @param names empty: they are not shown */
function required(names: readonly string[], how: string): never {
  const listed = names.length > 0 ? `, ${names.join(', ')}` : '';
  throw new WaybillError('database_required', `there are several databases${listed}: ${how}`);
}

/** The name of the first database that answers now; when none does, of the first one. */
async function firstThatAnswers(hosts: readonly Host[]): Promise<string> {
  const asked = hosts.map(({ db }) =>
    soon(
      db.executeSql('select').then(
        () => true,
        () => false,
      ),
      answerMs,
      false,
    ),
  );
  const answers = await Promise.all(asked);
  return hosts[Math.max(0, answers.indexOf(true))]!.config.database ?? '';
}

/** A person who opens the console or the inbox without a database gets the first one that answers. */
function isPage({ method, url }: FastifyRequest, path: string): boolean {
  return (
    method === 'GET' && /^\/(?:console|inbox)(?:\/|$)/.test(path) && !ofProcess.test(path) && !isNamed(url)
  );
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
