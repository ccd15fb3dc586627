// The port on which web listens in development.

import { createServer } from 'node:net';
import { WaybillError } from '../errors.ts';

const tries = 20;

/**
 * @param wanted the port of the configuration
 * @param isChosen whether PORT names it: then no other one is taken
 * @param host the address on which web will listen
 * @throws WaybillError `port_taken`; `host_unusable` when this machine cannot listen on the address
 */
export async function webPort(wanted: number, isChosen: boolean, host: string): Promise<number> {
  for (let port = wanted; port < wanted + (isChosen ? 1 : tries); port++)
    if (await isFree(port, host)) return port;
  throw new WaybillError(
    'port_taken',
    isChosen
      ? `port ${wanted} is taken by another process: end that one, or set PORT to another number`
      : `ports ${wanted} to ${wanted + tries - 1} are all taken: set PORT to a free one`,
  );
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' || error.code === 'EACCES' ? resolve(false) : reject(unusable(host, error)),
    );
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}

const unusable = (host: string, error: NodeJS.ErrnoException): WaybillError =>
  new WaybillError(
    'host_unusable',
    `web cannot listen on the address of HOST, ${host} (${error.code ?? error.message}): set HOST to an address of this machine, or leave it out`,
  );
