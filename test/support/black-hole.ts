// A wire to Postgres that falls silent: connections that are there when it is shut stay open and carry nothing any more, also after it is open
// again. While it is shut, new ones are taken and carry nothing.

import net from 'node:net';

export type BlackHole = {
  readonly url: string;
  shut(): void;
  open(): void;
  end(): Promise<void>;
};

export async function blackHole(target: string): Promise<BlackHole> {
  const url = new URL(target);
  const { hostname, port } = url;
  const sockets = new Set<net.Socket>();
  const dead = new WeakSet<net.Socket>();
  let isShut = false;
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined));
    if (isShut) dead.add(near);
    near.on('data', (data) => dead.has(near) || far.write(data));
    far.on('data', (data) => dead.has(near) || near.write(data));
    near.on('close', () => far.destroy());
    far.on('close', () => dead.has(near) || near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url.port = String((server.address() as net.AddressInfo).port);
  url.hostname = '127.0.0.1';
  return {
    url: url.href,
    shut() {
      isShut = true;
      for (const socket of sockets) dead.add(socket);
    },
    open: () => void (isShut = false),
    async end() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
