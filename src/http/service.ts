// Runs the web server as a service of a process. On the signal it accepts no more requests and answers the open ones.

import type { FastifyInstance } from 'fastify';
import type { Milliseconds } from '../ports.ts';
import type { Host } from '../process/host.ts';
import type { Service } from '../process/run.ts';
import { after } from '../timer.ts';
import { createServer, type WebPorts } from './server.ts';

/** The time between the abort of running actions and the end of the process, for rollbacks and answers. */
const endingMs: Milliseconds = 2_000;

export function webService(host: Host, ports: WebPorts): Service {
  return {
    name: 'web',
    async run(signal) {
      const server = createServer(host, ports);
      const address = await listen(server, host.config);
      const { adminKeys, apiKey } = host.config;
      const open = { admin: adminKeys.length > 0, authenticated: apiKey !== null };
      host.log.info({ address, open }, 'web: listening');
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      const { shutdownGraceMs } = host.config;
      const graceMs = Math.max(shutdownGraceMs - endingMs, shutdownGraceMs / 2);
      const timer = after(graceMs, ports.giveUp);
      if (host.hurry.aborted) ports.giveUp();
      host.hurry.addEventListener('abort', ports.giveUp, { once: true });
      await close(server);
      timer.stop();
    },
  };
}

/** A connection that becomes idle only after server.close has begun would stay open. */
async function close(server: FastifyInstance): Promise<void> {
  const timer = setInterval(() => server.server.closeIdleConnections(), 100);
  await server.close();
  clearInterval(timer);
}

/** Listens on HOST only; without it on all addresses, IPv6 and IPv4 where the machine has both. */
async function listen(server: FastifyInstance, { port, host }: Host['config']): Promise<string> {
  if (host !== null) return server.listen({ port, host });
  try {
    return await server.listen({ port, host: '::' });
  } catch (error) {
    if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return server.listen({ port, host: '0.0.0.0' });
  }
}
