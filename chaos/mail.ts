// A mail server that keeps what it accepts: which work a mail is of, and who delivered it. Its answer may be lost; what it accepted stays accepted.

import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { now } from './clock.ts';

export type Mail = {
  readonly work: string;
  /** The message's id, from the Message-ID. */
  readonly message: string;
  /** The name in EHLO, which tells the process. */
  readonly from: string;
  readonly at: number;
};

export type MailServer = { readonly url: string; readonly mails: readonly Mail[]; end(): Promise<void> };

/** @param ms how long it takes to accept a mail, in milliseconds */
export async function startMailServer(ms: number): Promise<MailServer> {
  const mails: Mail[] = [];
  const sockets = new Set<Socket>();
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS', 'AUTH'],
    authOptional: true,
    disableReverseLookup: true,
    closeTimeout: 10,
    logger: false,
    onData(stream, { hostNameAppearsAs }, done) {
      void buffer(stream).then((raw) => {
        const head = raw.toString('latin1').split('\r\n\r\n')[0]!;
        const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'im').exec(head)?.[1] ?? '';
        setTimeout(() => {
          const message = /<([^@]+)@/.exec(field('message-id'))?.[1] ?? '';
          mails.push({ work: field('x-chaos-work'), message, from: String(hostNameAppearsAs), at: now() });
          done();
        }, ms);
      }, done);
    },
  });
  server.on('error', () => undefined); // a connection of a process that died
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await new Promise<number>((resolve) => {
    const listener = server.listen(0, '127.0.0.1', () => resolve((listener.address() as AddressInfo).port));
  });
  return {
    url: `smtp://127.0.0.1:${port}`,
    mails,
    end: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
