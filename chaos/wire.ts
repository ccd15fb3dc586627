// The wire between the fleet and Postgres. Faults cut it, silence it or slow it down; orders are placed beside it.

import net from 'node:net';

export type Wire = {
  readonly port: number;
  /** Ends every connection, and refuses new ones until `mend`. */
  cut(): void;
  /** Connections stay open and carry nothing any more, also after `mend`, as behind a firewall that forgot them. */
  silence(): void;
  /** Each piece of data arrives later, in both directions. */
  slow(ms: number): void;
  mend(): void;
  end(): Promise<void>;
};

export async function startWire(target: number): Promise<Wire> {
  const sockets = new Set<net.Socket>();
  const silent = new WeakSet<net.Socket>();
  let state: 'open' | 'cut' | 'silent' = 'open';
  let delayMs = 0;

  function pass(from: net.Socket, to: net.Socket): void {
    from.on('data', (data) => {
      if (silent.has(from)) return;
      if (delayMs === 0) return void to.write(data);
      setTimeout(() => silent.has(from) || to.destroyed || to.write(data), delayMs);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      if (!silent.has(from)) to.destroy();
    });
    sockets.add(from);
    if (state === 'silent') silent.add(from);
  }

  const { port, end } = await listen((near) => {
    if (state === 'cut') return near.destroy();
    const far = net.connect({ port: target, host: '127.0.0.1', noDelay: true });
    pass(near, far);
    pass(far, near);
  });
  const cutAll = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    port,
    cut() {
      state = 'cut';
      cutAll();
    },
    silence() {
      state = 'silent';
      for (const socket of sockets) silent.add(socket);
    },
    slow: (ms) => void (delayMs = ms),
    mend() {
      state = 'open';
      delayMs = 0;
    },
    end: async () => (cutAll(), end()),
  };
}

async function listen(accept: (socket: net.Socket) => void) {
  const server = net.createServer({ noDelay: true }, accept);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    end: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
