// An address that leads to one server and later to another, as that of a proxy or a name in the DNS does after a failover.

import net from 'node:net';

export type Switch = {
  readonly port: number;
  /** New connections lead there. Those that are open end only when asked. */
  lead(port: number, ending?: 'cut'): void;
  end(): Promise<void>;
};

export async function startSwitch(first: number): Promise<Switch> {
  const sockets = new Set<net.Socket>();
  let target = first;
  const server = net.createServer((socket) => {
    const far = net.connect(target, '127.0.0.1');
    for (const [one, other] of [
      [socket, far],
      [far, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as net.AddressInfo).port,
    lead(port, ending) {
      target = port;
      if (ending === 'cut') cut();
    },
    async end() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
