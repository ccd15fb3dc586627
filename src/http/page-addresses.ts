// The pages of one of several databases: each address in them keeps the database, and so does where a form leads.

import type { FastifyInstance } from 'fastify';
import { addressOf, withDatabase } from '../console/addresses.ts';
import { pagePolicy, type Databases } from '../console/frame.ts';
import type { Host } from '../process/host.ts';

/** Null: the process serves one. */
export function databasesOf({ all, config }: Pick<Host, 'all' | 'config'>): Databases | null {
  if (all.length === 1) return null;
  const name = (one: Pick<Host, 'config'>): string => one.config.database ?? '';
  return { names: all.map(name), current: name({ config }) };
}

/** Only our own pages, which have their policy: a mail that is shown stays as it is. */
export function keepDatabase(server: FastifyInstance, database: string): void {
  server.addHook('onSend', async (_, reply, payload) => {
    const to = reply.getHeader('location');
    if (typeof to === 'string' && /^\/(?:console|inbox)(?:[/?]|$)/.test(to))
      void reply.header('location', addressOf(to, database));
    const isPage =
      reply.getHeader('content-security-policy') === pagePolicy &&
      String(reply.getHeader('content-type')).startsWith('text/html');
    return isPage && typeof payload === 'string' ? withDatabase(payload, database) : payload;
  });
}
