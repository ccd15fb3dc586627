// Runs the web server as a service of a process. On the signal it accepts no more requests and answers the open ones.

import type { Milliseconds } from '../ports.ts';
import type { Host } from '../process/host.ts';
import type { Service } from '../process/serve.ts';
import { after } from '../timer.ts';
import type { Front } from './front.ts';
import { close, listen } from './listen.ts';
import { createServer, type WebPorts } from './server.ts';

/** The time between the abort of running actions and the end of the process, for rollbacks and answers. */
const endingMs: Milliseconds = 2_000;

/** @param front of a process with WAYBILL_DATABASES */
export function webService(host: Host, ports: WebPorts, front?: Front): Service {
  return {
    name: 'web',
    async run(signal) {
      const server = createServer(host, ports);
      const address = front ? await front.add(host, server) : await listen(server, host.config);
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
      await Promise.all([front?.close(), close(server)]);
      timer.stop();
    },
  };
}
