// A mail server for tests: smtp-server on a free port. It keeps what it accepts, parsed, and answers what a test wants it to.

import type { AddressInfo, Socket } from 'node:net';
import PostalMime, { type Email } from 'postal-mime';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export type Mail = {
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  readonly messageId: string;
  /** As it came, folded lines joined: one entry a field. */
  readonly headerLines: readonly string[];
  readonly parsed: Email;
};

/** Undefined accepts; a number is the reply's code; `drop` closes the connection without a reply; `hang` never replies. */
export type Reply = number | 'drop' | 'hang' | undefined;

export type Stage = 'connect' | 'mail' | 'rcpt' | 'data';

/** A promise: the server answers when it resolves. */
export type Answer = (stage: Stage, about: string) => Reply | Promise<Reply>;

export type SmtpServer = { readonly url: string; readonly mails: Mail[]; close(): Promise<void> };

/** @param options.auth the only login that is accepted; without it, none is offered */
export async function startSmtp(
  options: { answer?: Answer; auth?: { user: string; pass: string } } = {},
): Promise<SmtpServer> {
  const { answer = () => undefined, auth } = options;
  const mails: Mail[] = [];
  const sockets = new Set<Socket>();
  const drop = () => sockets.forEach((socket) => socket.destroy());
  const reply = (stage: Stage, about: string, done: (error?: Error | null) => void): void => {
    const code = answer(stage, about);
    if (code instanceof Promise) code.then((later) => say(later, stage, done), done);
    else say(code, stage, done);
  };
  const say = (code: Reply, stage: Stage, done: (error?: Error | null) => void): void => {
    if (code === 'drop') drop();
    else if (code !== 'hang')
      done(code === undefined ? null : Object.assign(new Error(`no ${stage}`), { responseCode: code }));
  };
  async function keep(
    stream: AsyncIterable<Uint8Array>,
    envelope: Mail['envelope'],
    done: (error?: Error | null) => void,
  ): Promise<void> {
    const mail = await read(stream)
      .then((raw) => mailOf(raw, envelope))
      .catch((error: Error) => error); // also a client that left in the middle
    if (mail instanceof Error) return done(mail); // answered like one that the server refuses
    reply('data', mail.messageId, (error) => {
      if (!error) mails.push(mail);
      done(error);
    });
  }
  const handlers: SMTPServerOptions = {
    onConnect: (session, done) => reply('connect', session.remoteAddress, done),
    onMailFrom: ({ address }, _, done) => reply('mail', address, done),
    onRcptTo: ({ address }, _, done) => reply('rcpt', address, done),
    onData: (stream, { envelope: { mailFrom, rcptTo } }, done) => {
      const envelope = {
        from: mailFrom === false ? '' : mailFrom.address,
        to: rcptTo.map(({ address }) => address),
      };
      void keep(stream, envelope, done);
    },
    onAuth: ({ username, password }, _, done) =>
      username === auth?.user && password === auth?.pass
        ? done(null, { user: username })
        : done(new Error('Invalid username or password')),
  };
  const server = new SMTPServer({
    ...handlers,
    hideSTARTTLS: true,
    disabledCommands: auth ? ['STARTTLS'] : ['STARTTLS', 'AUTH'],
    authOptional: !auth,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 10,
    logger: false,
  });
  server.on('error', () => undefined); // a connection that a test cut
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const { port } = await new Promise<AddressInfo>((resolve) => {
    const listener = server.listen(0, '127.0.0.1', () => resolve(listener.address() as AddressInfo));
  });
  const login = auth ? `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.pass)}@` : '';
  return {
    url: `smtp://${login}127.0.0.1:${port}`,
    mails,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        drop();
      }),
  };
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function mailOf(raw: Buffer, envelope: Mail['envelope']): Promise<Mail> {
  const parsed = await PostalMime.parse(raw);
  const head = raw.toString('latin1').split('\r\n\r\n')[0]!;
  return {
    envelope,
    messageId: parsed.messageId ?? '',
    headerLines: head.replace(/\r\n[ \t]+/g, ' ').split('\r\n'),
    parsed,
  };
}
