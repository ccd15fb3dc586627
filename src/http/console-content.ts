// What is in a message, for people with the role admin: its payload and its mail, after they asked for it, which the audit says. The parts of a mail have
// addresses of their own, with a ticket of that session.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { composedMail, type ComposedMail } from '../console/composed.ts';
import { mailSections } from '../console/mail.ts';
import { markup, type Markup } from '../console/markup.ts';
import { messageView } from '../console/message.ts';
import type { View } from '../console/page.ts';
import { isTicket, ticketFor, type Session } from '../console/session.ts';
import { fileOf } from '../email/mailbox.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import { shown } from '../console/figures.ts';
import { audited } from '../operate/audit.ts';
import { showMessage, type WholeMessage } from '../operate/read.ts';
import { actorOf } from './console-form.ts';
import type { ConsolePorts } from './console-session.ts';
import { asFile, indexOf, inert } from './mail-parts.ts';

type WithId = { Params: { id: string } };

export type Send = (view: View, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

export function addContent(server: FastifyInstance, ports: ConsolePorts, send: Send): void {
  const { db, config } = ports.host;
  server.post<WithId>('/console/messages/:id/show', { config: { role: 'admin' } }, async (request, reply) => {
    const session = request.consoleSession!;
    const { id } = request.params;
    const view = await audited(
      db,
      actorOf(request, null),
      { act: 'message.show', target: id },
      async (tx) => {
        const message = await showMessage(tx, id);
        const mail = await mailOf(message, config.emailFrom, session);
        return messageView({ db: tx, session }, message, {
          payload: JSON.stringify(message.payload, null, 2),
          mail,
        });
      },
    );
    return send(view, request, reply);
  });
  const compose = async (request: FastifyRequest<WithId>): Promise<ComposedMail> => {
    const { id } = request.params;
    if (!isTicket((request.query as { ticket?: unknown }).ticket, request.consoleSession!, id, Date.now()))
      throw new WaybillError(
        'ticket_invalid',
        'this address is of another session, or older than 15 minutes: open the page of the message, and choose Show',
      );
    return composedMail(await showMessage(db, id), config.emailFrom);
  };
  addParts(server, compose);
}

function addParts(
  server: FastifyInstance,
  compose: (request: FastifyRequest<WithId>) => Promise<ComposedMail>,
): void {
  const role = { config: { role: 'admin' as const } };
  server.get<WithId>('/console/messages/:id/mail/html', role, async (request, reply) => {
    const { htmlAlone } = await compose(request);
    if (htmlAlone === null) throw new WaybillError('not_found', 'the mail has no html');
    return reply.headers(inert).send(htmlAlone);
  });
  server.get<WithId>('/console/messages/:id/mail/source', role, async (request, reply) => {
    const { source } = await compose(request);
    return reply.headers(inert).type('text/plain; charset=utf-8').send(source);
  });
  server.get<{ Params: { id: string; index: string } }>(
    '/console/messages/:id/mail/attachments/:index',
    role,
    async (request, reply) => {
      const { filename, content } = fileOf((await compose(request)).files, indexOf(request.params.index));
      return reply.headers({ ...inert, ...asFile(filename) }).send(content);
    },
  );
}

/** A mail that cannot be composed is said, beside its payload. */
async function mailOf(
  message: WholeMessage,
  emailFrom: string | null,
  session: Session,
): Promise<Markup | null> {
  if (message.kind !== 'email' || message.sensitive) return null;
  const { id, notes } = message;
  try {
    const mail = await composedMail(message, emailFrom);
    const ticket = `ticket=${ticketFor(session, id, Date.now())}`;
    const at = `/console/messages/${id}/mail`;
    const answers = notes.filter(({ type }) => type === 'accepted');
    const facts = markup`${answers.map(({ detail, reference }) => markup`<dt>Provider</dt><dd>${shown([detail, reference].filter((one) => one !== null).join(' · '), 400)}</dd>`)}`;
    return mailSections(
      mail,
      {
        html: `${at}/html?${ticket}`,
        source: `${at}/source?${ticket}`,
        attachment: (index) => `${at}/attachments/${index}?${ticket}`,
      },
      facts,
    );
  } catch (error) {
    if (!isWaybillError(error)) throw error;
    return markup`<p class="soft">No mail can be made of this message: ${shown(error.message, 1_000)}</p>`;
  }
}
