// Serves the development inbox at /inbox, as pages for people and as JSON for tests.
// It exists when WAYBILL_EMAIL_PROVIDER is inbox. In production it needs the admin key.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Executor } from '../db/executor.ts';
import { framed, pagePolicy, type Databases } from '../console/frame.ts';
import type { View } from '../console/page.ts';
import { emptyInbox, listEmails, readAttachment, readSource, showEmail, showHtml } from '../email/mailbox.ts';
import { listPage } from '../inbox/list.ts';
import { mailPage } from '../inbox/mail.ts';
import { WaybillError } from '../errors.ts';
import { parseFilter } from '../operate/filter.ts';
import type { Config } from '../config/config.ts';
import { checkInboxKey } from './auth.ts';
import { asFile, indexOf, inert } from './mail-parts.ts';
import { checkHost, isFromHere } from './origin.ts';

type WithId = { Params: { id: string } };
type WithIndex = { Params: { id: string; index: string } };

export type InboxPorts = {
  readonly db: Executor;
  readonly config: Pick<Config, 'emailProviders' | 'production' | 'adminKeys' | 'knownHosts'>;
  /** Whether anybody can sign in to the console. */
  readonly hasConsole: boolean;
  readonly databases: Databases | null;
};

export function addInbox(server: FastifyInstance, ports: InboxPorts): void {
  const { db, config, hasConsole, databases } = ports;
  const sendView = (reply: FastifyReply, view: View): FastifyReply =>
    sendPage(reply, framed(view, { ...frame, isOpen: hasConsole, databases }));
  async function routes(inbox: FastifyInstance): Promise<void> {
    guard(inbox, config);
    inbox.get('', async (request, reply) => {
      const { search = '', ...paging } = await queryOf(request.query as object);
      const found = await listEmails(db, { search: search || undefined, ...paging });
      if (wantsJson(request)) return found;
      return sendView(reply, listPage({ ...found, search, later: paging.cursor !== undefined }));
    });
    inbox.post('/empty', async (request, reply) => {
      checkOrigin(request, config.knownHosts);
      const deleted = await emptyInbox(db);
      return wantsJson(request) ? { deleted } : reply.redirect('/inbox', 303);
    });
    inbox.get<WithId>('/:id', async (request, reply) => {
      const mail = await showEmail(db, request.params.id);
      return wantsJson(request) ? mail : sendView(reply, mailPage(mail));
    });
    inbox.get<WithId>('/:id/html', async ({ params: { id } }, reply) => {
      const html = await showHtml(db, id);
      if (html === null) throw new WaybillError('not_found', 'the mail has no html');
      return sendPage(reply.headers(inert), html);
    });
    inbox.get<WithId>('/:id/source', async ({ params: { id } }, reply) => {
      const source = await readSource(db, id);
      return reply.headers(inert).type('text/plain; charset=utf-8').send(source);
    });
    inbox.get<WithIndex>('/:id/attachments/:index', async ({ params: { id, index } }, reply) => {
      const { filename, content } = await readAttachment(db, id, indexOf(index));
      return reply.headers({ ...inert, ...asFile(filename) }).send(content);
    });
  }
  server.register(routes, { prefix: '/inbox' });
}

/** The list asks again every few seconds: a stream needs a session. */
const frame = { session: null, place: 'inbox', inbox: true, live: { cost: 5 } } as const;

const always = {
  'content-security-policy': pagePolicy,
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: a browser would then omit the origin of the form that empties the inbox.
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
  vary: 'accept',
};

function guard(
  inbox: FastifyInstance,
  { emailProviders, production, adminKeys, knownHosts }: InboxPorts['config'],
): void {
  inbox.addHook('onRequest', async (request, reply) => {
    if (!emailProviders.includes('inbox'))
      throw new WaybillError('inbox_off', 'there is no inbox here: WAYBILL_EMAIL_PROVIDER=inbox makes one');
    void reply.headers(always);
    if (production) checkInboxKey(request, adminKeys);
    else checkHost(request, knownHosts);
  });
  inbox.addHook('onSend', async (_, reply) => {
    // A browser prompts for the key as a password.
    if (reply.statusCode === 401)
      void reply.header('www-authenticate', ['Basic realm="inbox", charset="UTF-8"', 'Bearer']);
  });
}

/** A client that accepts any type, such as a browser or curl, gets a page. */
function wantsJson({ headers: { accept = '' } }: FastifyRequest): boolean {
  return accept.includes('application/json') && !accept.includes('text/html');
}

function sendPage(reply: FastifyReply, text: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(text);
}

const query = z.strictObject({
  search: z
    .string()
    .max(1_000)
    .regex(/^[^\0]*$/, 'must not hold U+0000')
    .optional(),
  limit: z.string().optional(),
  cursor: z.string().optional(),
});

async function queryOf(given: object) {
  const { search, ...paging } = await parseArguments({ name: 'inbox', args: query }, { ...given });
  const { limit, cursor } = parseFilter(paging);
  return { search, limit, cursor };
}

/**
 * A change must come from the inbox's own page, because a browser sends the key with the forms of every site.
 * @throws WaybillError `cross_site`
 */
function checkOrigin(request: FastifyRequest, hosts: readonly string[]): void {
  if (!isFromHere(request, hosts))
    throw new WaybillError('cross_site', 'this must come from the page of the inbox itself');
}
