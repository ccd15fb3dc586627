// The port of a web server: how it is opened, and how it is closed.

import type { FastifyInstance } from 'fastify';
import type { Host } from '../process/host.ts';

/** A connection that becomes idle only after server.close has begun would stay open. */
export async function close(server: FastifyInstance): Promise<void> {
  const timer = setInterval(() => server.server.closeIdleConnections(), 100);
  await server.close();
  clearInterval(timer);
}

/** Listens on HOST only; without it on all addresses, IPv6 and IPv4 where the machine has both. */
export async function listen(server: FastifyInstance, { port, host }: Host['config']): Promise<string> {
  if (host !== null) return server.listen({ port, host });
  try {
    return await server.listen({ port, host: '::' });
  } catch (error) {
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return server.listen({ port, host: '0.0.0.0' });
  }
}
