// Finds a free port below the range from which the kernel takes the source ports of outgoing connections. Otherwise a client that keeps
// connecting to a stopped server could get that server's port as its own, and hold it.

import { createServer } from 'node:net';

const LOWEST = 12_000;
const HIGHEST = 32_000;

/** @throws when forty ports drawn at random are all taken */
export async function freePort(): Promise<number> {
  for (let round = 0; round < 40; round++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${LOWEST} and ${HIGHEST}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    // Without a host, a port that is taken on any address counts as taken.
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
