// The forms of the console: their fields, and the proof that a form is of this session and of a page of ours.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isToken, type Session } from '../console/session.ts';
import { WaybillError } from '../errors.ts';
import type { Actor } from '../operate/audit.ts';
import { isFromHere } from './origin.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on the console's pages and acts. */
    consoleSession?: Session;
  }
}

export function readForms(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) => {
    const fields = new URLSearchParams(String(body));
    const values = [...new Set(fields.keys())].map((name) => {
      const all = fields.getAll(name).map((text) => text.replaceAll('\0', ''));
      return [name, all.length === 1 ? all[0] : all] as const;
    });
    done(null, Object.fromEntries(values));
  });
}

/** @throws WaybillError `cross_site`, `form_invalid` */
export function checkForm(request: FastifyRequest, hosts: readonly string[]): void {
  if (request.method !== 'POST') return;
  if (!isFromHere(request, hosts))
    throw new WaybillError(
      'cross_site',
      'this must come from a page of the console itself; nothing was done',
    );
  const { _token: token } = (request.body ?? {}) as { _token?: unknown };
  if (!isToken(token, request.consoleSession!))
    throw new WaybillError(
      'form_invalid',
      'the form is not of this session, so nothing was done: open its page again, and repeat it there',
    );
}

/** @param reason as the form has it */
export function actorOf(request: FastifyRequest, reason: unknown): Actor {
  const { by, key } = request.consoleSession!;
  const why = typeof reason === 'string' && reason.trim() !== '' ? reason.trim() : null;
  return { by, key, via: 'console', requestId: request.id, reason: why };
}
