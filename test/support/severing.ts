// A wire to Postgres that breaks at a chosen point, and for good: what a process that dies there leaves behind. Its connections are gone,
// and whatever its code still tries reaches nobody.

import net from 'node:net';

/** Before: the request is lost. After: the server has begun to answer, and nobody hears it. */
export type Side = 'before' | 'after';

export type Wire = {
  readonly url: string;
  /** Requests so far. */
  requests(): number;
  readonly isBroken: boolean;
  /** Resolves when the wire is broken. */
  readonly broken: Promise<void>;
  end(): Promise<void>;
};

/** Messages of a frontend before a connection is ready have no type, or are the password's (Postgres's documentation, chapter 54). */
const isRequest = (data: Buffer): boolean => data[0] !== 0 && data[0] !== 'p'.charCodeAt(0);

/** @param point the request at which the wire breaks, counted from 0; undefined: never */
export async function wireTo(target: string, point?: number, side: Side = 'before'): Promise<Wire> {
  const url = new URL(target);
  const { hostname, port } = url;
  const sockets = new Set<net.Socket>();
  const { promise: broken, resolve } = Promise.withResolvers<void>();
  let requests = 0;
  let isBroken = false;

  function sever(): void {
    isBroken = true;
    for (const socket of sockets) socket.destroy();
    resolve();
  }

  function add(socket: net.Socket): net.Socket {
    sockets.add(socket);
    return socket.on('error', () => undefined).on('close', () => void sockets.delete(socket));
  }

  const server = net.createServer((near) => {
    add(near);
    if (isBroken) return near.destroy();
    const far = add(net.connect(Number(port), hostname));
    let last = false; // nobody hears what is answered to this request
    near.on('data', (data) => {
      const hit = isRequest(data) && requests++ === point;
      if (hit && side === 'before') return sever();
      last ||= hit;
      if (!isBroken) far.write(data);
    });
    far.on('data', (data) => {
      if (last) return sever();
      if (!isBroken) near.write(data);
    });
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as net.AddressInfo).port);
  return {
    url: url.href,
    requests: () => requests,
    get isBroken() {
      return isBroken;
    },
    broken,
    async end() {
      sever();
      await new Promise((closed) => server.close(closed));
    },
  };
}
