// A wire to a server that can be away: while it is, its port refuses connections, and those that were open are cut.

import net from 'node:net';

export type Outage = {
  readonly port: number;
  /** Refuses connections from now on, and cuts those that are open. */
  begin(): Promise<void>;
  end(): Promise<void>;
  close(): Promise<void>;
};

export async function startOutage(target: string): Promise<Outage> {
  const far = Number(new URL(target).port);
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const there = net.connect(far, '127.0.0.1');
    for (const [one, other] of [
      [near, there],
      [there, near],
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
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
  await listen(0);
  const { port } = server.address() as net.AddressInfo;
  async function begin(): Promise<void> {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  }
  return {
    port,
    begin,
    end: () => listen(port),
    close: async () => {
      if (server.listening) await begin();
    },
  };
}
