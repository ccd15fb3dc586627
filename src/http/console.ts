// Serves the console at /console: pages for people, with the functions behind /admin. A page reads in one transaction with a time limit.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { consoleActs } from '../console/act.ts';
import type { ConsoleAct } from '../console/doing.ts';
import { liveScript, script, style } from '../console/assets.ts';
import { framed, keysList, pagePolicy, solo, type Frame } from '../console/frame.ts';
import { createKept, type Kept } from '../console/kept.ts';
import { markup } from '../console/markup.ts';
import type { Look, Page, View } from '../console/page.ts';
import { pages } from '../console/pages.ts';
import { problemView, tooSlow, type Fault } from '../console/problem.ts';
import { againPage, nextOf, signInPage } from '../console/sign-in.ts';
import { isSlow } from '../db/diagnosis.ts';
import type { Executor } from '../db/executor.ts';
import { beginning } from '../db/transaction.ts';
import { readChanges, snapshotText } from '../operate/changes.ts';
import { addContent, type Send } from './console-content.ts';
import { addEditing } from './console-copy.ts';
import { actorOf, checkForm, readForms } from './console-form.ts';
import { addConsoleEvents } from './console-events.ts';
import {
  addSignIn,
  NotSignedIn,
  saying,
  sessionOf,
  signOut,
  takeSaid,
  type ConsolePorts,
} from './console-session.ts';
import { databasesOf } from './page-addresses.ts';
import { checkRole } from './people.ts';
import { problemOf } from './problems.ts';
import { toldSlow } from './slow.ts';

/** Each statement of a page may take this long. */
const begin = `${beginning} read only; set local statement_timeout = 2000`;
export const htmlType = 'text/html; charset=utf-8';

export function addConsole(server: FastifyInstance, ports: ConsolePorts): void {
  async function routes(console: FastifyInstance): Promise<void> {
    console.setErrorHandler((error, request, reply) => sendFault(error, request, reply, ports));
    readForms(console);
    console.addHook('onRequest', async (_, reply) => {
      void reply.headers(pageHeaders).type(htmlType);
    });
    addAssets(console);
    console.get('/console/', async (_, reply) => reply.redirect('/console', 303));
    addSignIn(console, ports);
    await console.register(async (inner) => addPages(inner, ports));
  }
  server.register(routes);
}

export const pageHeaders = {
  'content-security-policy': pagePolicy,
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: a browser would then omit the origin of the forms.
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

function addAssets(server: FastifyInstance): void {
  for (const { path, type, text } of [style, script, liveScript])
    server.get(path, async (_, reply) =>
      reply.type(type).header('cache-control', 'public, max-age=31536000, immutable').send(text),
    );
}

function addPages(server: FastifyInstance, ports: ConsolePorts): void {
  server.addHook('onRequest', async (request) => {
    const session = await sessionOf(request, ports);
    request.consoleSession = session;
    const least = request.routeOptions.config.role ?? (request.method === 'POST' ? 'operate' : 'read');
    checkRole({ name: session.by, role: session.role }, least);
  });
  const kept = createKept(ports.host.clock);
  for (const page of pages)
    server.get(page.path, { config: { role: page.role ?? 'read' } }, (request, reply) =>
      sendPage(page, request, reply, { ...ports, kept }),
    );
  server.get('/console/keys', async (request, reply) => {
    const view = { title: 'Keys', content: markup`<h1>Keys</h1>${keysList}`, commands: [], live: false };
    return send(view, null, request, reply, ports);
  });
  server.get('/console/*', { exposeHeadRoute: false, config: { role: 'read' } }, ports.unknown);
  addConsoleEvents(server, ports);
  server.addHook('preHandler', async (request) => checkForm(request, ports.host.config.knownHosts));
  for (const act of consoleActs)
    server.post(act.path, { config: { role: act.role ?? 'operate' } }, (request, reply) =>
      doAct(act, request, reply, ports),
    );
  const sendMessage: Send = (view, request, reply) =>
    send(view, { place: 'messages' }, request, reply, ports);
  addContent(server, ports, sendMessage);
  addEditing(server, ports, sendMessage);
  server.post('/console/sign-out', { config: { role: 'read' } }, async (request, reply) => {
    await signOut(request, reply, ports, request.consoleSession!);
    return reply.redirect('/console/sign-in', 303);
  });
}

type Texts = Record<string, string | string[]>;

type PagePorts = ConsolePorts & { readonly kept: Kept };

function lookOf(request: FastifyRequest, { host, kept }: PagePorts): Omit<Look, 'db'> {
  return {
    query: request.query as Look['query'],
    params: request.params as Look['params'],
    session: request.consoleSession!,
    config: host.config,
    kept,
  };
}

async function sendPage(
  page: Page,
  request: FastifyRequest,
  reply: FastifyReply,
  ports: PagePorts,
): Promise<FastifyReply> {
  const asked = lookOf(request, ports);
  let statements = statementsAround;
  const { view, seen } = await ports.host.db.transaction(async (tx) => {
    const db: Executor = {
      ...tx,
      executeSql(text, values, often) {
        statements += 1;
        return tx.executeSql(text, values, often);
      },
    };
    // Before the page: what changes meanwhile is read again.
    const { snapshot } = await readChanges(db, []);
    return { view: await page.look({ ...asked, db }), seen: snapshotText(snapshot) };
  }, begin);
  return send(view, page, request, reply, ports, { seen, cost: statements });
}

/** Of each page view, beside what the page reads: the look after the session, two that begin the transaction, and its end. */
const statementsAround = 4;

function send(
  view: View,
  page: Pick<Page, 'place'> | null,
  request: FastifyRequest,
  reply: FastifyReply,
  { host }: ConsolePorts,
  live: Frame['live'] = null,
): FastifyReply {
  return reply.send(
    framed(view, {
      session: request.consoleSession!,
      place: page?.place ?? null,
      inbox: host.config.emailProviders.includes('inbox'),
      databases: databasesOf(host),
      done: takeSaid(request, reply),
      live,
    }),
  );
}

async function doAct(
  act: ConsoleAct,
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ConsolePorts,
): Promise<FastifyReply> {
  const { _token: _, reason, ...form } = (request.body ?? {}) as Texts;
  const params = request.params as Record<string, string>;
  const done = await act.run({
    db: ports.host.db,
    config: ports.host.config,
    actor: actorOf(request, reason),
    session: request.consoleSession!,
    params,
    form,
  });
  ports.notify();
  if ('view' in done) return send(done.view, act.place ? { place: act.place } : null, request, reply, ports);
  saying(request, reply, done.said);
  return reply.redirect(done.to, 303);
}

function sendFault(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  ports: ConsolePorts,
): FastifyReply {
  if (error instanceof NotSignedIn) return sendSignIn(error, request, reply);
  const isSlowPage = request.method === 'GET' && isSlow(error);
  const fault: Fault = isSlowPage ? tooSlow : problemOf(toldSlow(error, request.method));
  if (fault.status >= 500)
    ports.host.log.error(
      { err: error, requestId: request.id, route: request.routeOptions.url ?? null },
      `console: ${fault.code}`,
    );
  void reply.code(fault.status).type(htmlType); // an error takes the type away
  const { q } = (request.query ?? {}) as { q?: unknown };
  const view = problemView(fault, request.id, typeof q === 'string' ? q : '');
  if (request.consoleSession === undefined)
    return reply.send(solo(view.title, view.content, databasesOf(ports.host)));
  return send(view, null, request, reply, ports);
}

function sendSignIn({ why }: NotSignedIn, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  void reply.type(htmlType);
  const isRead = request.method === 'GET';
  const next = nextOf(isRead ? request.url : '/console');
  if (isRead && request.headers['sec-fetch-site'] === 'cross-site' && why === null)
    return reply.send(againPage(next));
  const lost = isRead || why === null ? why : `${why} What you sent was not done.`;
  return reply
    .code(401)
    .send(signInPage({ why: lost ?? (isRead ? null : 'Sign in first: what you sent was not done.'), next }));
}
