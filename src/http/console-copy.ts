// A copy of a message whose content a person edits first. What was typed stays in the form when it is refused.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { copy, droppedError } from '../acts/copy.ts';
import { read } from '../console/doing.ts';
import { changesOf, editView, fields, typedOf, type Typed } from '../console/edit.ts';
import { isWaybillError, WaybillError } from '../errors.ts';
import { audited } from '../operate/audit.ts';
import { wasDropped } from '../message/seal.ts';
import { checkNotErased } from '../operate/erase.ts';
import { showMessage, type WholeMessage } from '../operate/read.ts';
import type { Executor } from '../db/executor.ts';
import type { Send } from './console-content.ts';
import { actorOf } from './console-form.ts';
import { saying, type ConsolePorts } from './console-session.ts';
import { problemOf } from './problems.ts';

type WithId = { Params: { id: string } };

/** In bytes: letters that are not ASCII are three times as long in a form. */
const bodyLimit = 4_194_304;

const form = z.strictObject(
  Object.fromEntries(fields.map((name) => [name, z.string().default('')])) as Record<
    keyof Typed,
    z.ZodDefault<z.ZodString>
  >,
);

export function addEditing(server: FastifyInstance, ports: ConsolePorts, send: Send): void {
  const { db, config } = ports.host;
  const role = { config: { role: 'admin' as const } };
  server.post<WithId>('/console/messages/:id/edit', role, async (request, reply) => {
    const { id } = request.params;
    const act = { act: 'message.show', target: id } as const;
    const message = await audited(db, actorOf(request, null), act, (tx) => editable(tx, id));
    return send(editView(request.consoleSession!, message, typedOf(message), null), request, reply);
  });
  server.post<WithId>('/console/messages/:id/edited', { ...role, bodyLimit }, async (request, reply) => {
    const { id } = request.params;
    const { typed, reason } = await fieldsOf(request);
    const message = await editable(db, id);
    try {
      const { maxPayloadBytes, payloadKeys } = config;
      const changes = changesOf(message, typed);
      const made = await copy(
        { db, maxPayloadBytes, payloadKeys, check: ports.check },
        actorOf(request, reason),
        id,
        changes,
      );
      ports.notify();
      saying(request, reply, 'This is the new message.');
      return reply.redirect(`/console/messages/${made.id}`, 303);
    } catch (error) {
      if (!isWaybillError(error)) throw error;
      void reply.code(Math.min(499, problemOf(error).status)); // the person wrote it, whatever an application would be told
      return send(editView(request.consoleSession!, message, typed, error.message), request, reply);
    }
  });
}

async function fieldsOf(
  request: FastifyRequest,
): Promise<{ readonly typed: Typed; readonly reason: unknown }> {
  const { _token: _, reason, ...given } = (request.body ?? {}) as Record<string, string | string[]>;
  return { typed: await read(form, given), reason };
}

/** @throws WaybillError `invalid_id`, `not_found`, `message_erased`, `message_sealed`, `message_dropped` */
async function editable(db: Executor, id: string): Promise<WholeMessage> {
  const message = await showMessage(db, id);
  await checkNotErased(db, id);
  if (wasDropped(message.payload, message.status)) throw droppedError(id);
  if (message.sensitive)
    throw new WaybillError(
      'message_sealed',
      `the message ${id} is sealed, and shown to nobody: it can be copied as it is, an email also to another address`,
    );
  return message;
}
