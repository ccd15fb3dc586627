// A fake mail server for tests. It listens on a free port of this machine, keeps and parses accepted mails, and answers as the test wants. It
// needs the packages smtp-server and postal-mime, which an application adds for its tests.

import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { SMTPServer, SMTPServerOptions } from 'smtp-server';
import { checkOptions } from '../options.ts';
import { WaybillError } from '../errors.ts';

/** A display name and an address, as the mail names them. */
export type MailAddress = { readonly name: string; readonly address?: string | undefined };

/** A file of an accepted mail. */
export type MailAttachment = {
  readonly filename: string | null;
  readonly mimeType: string;
  readonly content: ArrayBuffer | Uint8Array | string;
};

/** A mail that the fake server accepted. */
export type FakeMail = {
  /** The sender and the recipients of the SMTP dialogue. */
  readonly envelope: { readonly from: string; readonly to: readonly string[] };
  /** The Message-ID of the head; empty without one. */
  readonly messageId: string;
  /** As received, with folded lines joined: one entry for each field. */
  readonly headerLines: readonly string[];
  /** The whole mail, as received. */
  readonly source: string;
  /** The mail as postal-mime reads it. */
  readonly parsed: {
    readonly from?: MailAddress | undefined;
    readonly to?: readonly MailAddress[] | undefined;
    readonly cc?: readonly MailAddress[] | undefined;
    readonly replyTo?: readonly MailAddress[] | undefined;
    readonly subject?: string | undefined;
    readonly html?: string | undefined;
    readonly text?: string | undefined;
    readonly attachments: readonly MailAttachment[];
  };
};

/** A refusal with its exact text: `{ code: 554, text: '5.7.1 Relay access denied' }`. */
export type SmtpRefusal = { readonly code: number; readonly text: string };

/** Undefined accepts; a number is the reply's code; `drop` closes the connection without a reply; `hang` never replies. */
export type SmtpReply = number | SmtpRefusal | 'drop' | 'hang' | undefined;

/** A step of the SMTP dialogue. */
export type SmtpStage = 'connect' | 'mail' | 'rcpt' | 'data';

/** `about`: the client's address, the sender, the recipient, or the message id. With a promise, the server answers when it resolves. */
export type SmtpAnswer = (stage: SmtpStage, about: string) => SmtpReply | Promise<SmtpReply>;

/** A mail server for tests, on a free port of this machine. */
export type FakeSmtpServer = {
  /** For `SMTP_URL`. */
  readonly url: string;
  /** Accepted mails, in the order of arrival. */
  readonly mails: FakeMail[];
  /** Closes all connections, and the server. */
  close(): Promise<void>;
};

/** What `startFakeSmtpServer` takes. */
export type FakeSmtpOptions = {
  /** Decides the reply at each stage. Default: everything is accepted. */
  readonly answer?: SmtpAnswer;
  /** The only login that is accepted; without it, none is offered. */
  readonly auth?: { readonly user: string; readonly pass: string };
};

type Done = (error?: Error | null) => void;
type Keep = (stream: AsyncIterable<Uint8Array>, envelope: FakeMail['envelope'], done: Done) => void;

/**
 * Starts a mail server for a test.
 * @throws WaybillError `package_missing` without smtp-server or postal-mime
 */
export async function startFakeSmtpServer(options: FakeSmtpOptions = {}): Promise<FakeSmtpServer> {
  checkOptions('startFakeSmtpServer', options, ['answer', 'auth']);
  if (options.auth !== undefined) checkOptions('startFakeSmtpServer: auth', options.auth, ['user', 'pass']);
  const { answer = () => undefined, auth } = options;
  const [{ SMTPServer: Server }, { default: PostalMime }] = await packages();
  const mails: FakeMail[] = [];
  const sockets = new Set<Socket>();
  const drop = (): void => sockets.forEach((socket) => socket.destroy());
  const reply = replier(answer, drop);

  async function keep(...[stream, envelope, done]: Parameters<Keep>): Promise<void> {
    const raw = await buffer(stream);
    const mail = mailOf(raw, await PostalMime.parse(raw), envelope);
    reply('data', mail.messageId, (error) => {
      if (!error) mails.push(mail);
      done(error);
    });
  }

  // A client that left midway gets the same answer as a refused one.
  const server = new Server(settings(auth, reply, (...mail) => void keep(...mail).catch(mail[2])));
  server.on('error', () => undefined); // a connection that the test closed
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listen(server);
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

async function packages() {
  try {
    return await Promise.all([import('smtp-server'), import('postal-mime')]);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError(
      'package_missing',
      'the fake SMTP server needs two more packages: npm install --save-dev smtp-server postal-mime',
      [],
      { cause: error },
    );
  }
}

type Reply = (stage: SmtpStage, about: string, done: Done) => void;

function replier(answer: SmtpAnswer, drop: () => void): Reply {
  const say = (said: SmtpReply, stage: SmtpStage, done: Done): void => {
    if (said === 'drop') return drop();
    if (said === 'hang') return undefined;
    if (said === undefined) return done(null);
    const { code, text } = typeof said === 'number' ? { code: said, text: `no ${stage}` } : said;
    done(Object.assign(new Error(text), { responseCode: code }));
  };
  return (stage, about, done) => {
    (async () => answer(stage, about))().then((said) => say(said, stage, done), done);
  };
}

function settings(auth: FakeSmtpOptions['auth'], reply: Reply, keep: Keep): SMTPServerOptions {
  return {
    onConnect: (session, done) => reply('connect', session.remoteAddress, done),
    onMailFrom: ({ address }, _, done) => reply('mail', address, done),
    onRcptTo: ({ address }, _, done) => reply('rcpt', address, done),
    onData(stream, { envelope: { mailFrom, rcptTo } }, done) {
      const from = mailFrom === false ? '' : mailFrom.address;
      keep(stream, { from, to: rcptTo.map(({ address }) => address) }, done);
    },
    onAuth: ({ username, password }, _, done) =>
      username === auth?.user && password === auth?.pass
        ? done(null, { user: username })
        : done(new Error('Invalid username or password')),
    hideSTARTTLS: true,
    disabledCommands: auth ? ['STARTTLS'] : ['STARTTLS', 'AUTH'],
    authOptional: !auth,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 10,
    logger: false,
  };
}

function listen(server: SMTPServer): Promise<number> {
  return new Promise((resolve) => {
    const listener = server.listen(0, '127.0.0.1', () => resolve((listener.address() as AddressInfo).port));
  });
}

function mailOf(
  raw: Buffer,
  parsed: FakeMail['parsed'] & { readonly messageId?: string },
  envelope: FakeMail['envelope'],
): FakeMail {
  const head = raw.toString('latin1').split('\r\n\r\n')[0]!;
  const headerLines = head.replaceAll(/\r\n[ \t]+/g, ' ').split('\r\n');
  return { envelope, messageId: parsed.messageId ?? '', headerLines, source: raw.toString('latin1'), parsed };
}
