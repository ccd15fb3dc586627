// The provider `smtp` sends over a pool of connections. It gives up before the lease expires and leaves retries to the outbox.

import type { NodemailerError } from 'nodemailer';
import { WaybillError } from '../../errors.ts';
import type { Clock, Milliseconds } from '../../ports.ts';
import { smtpName } from '../../smtp/name.ts';
import { readSmtpUrl, SmtpUrlError, type SmtpServer } from '../../smtp/server.ts';
import { createConnections, type Seat } from './connections.ts';
import { ruleOf } from '../decide.ts';
import { EmailError, type Phase } from '../error.ts';
import { mailOf } from '../mime.ts';
import type { EmailProvider, ProviderLog, Receipt } from '../provider.ts';

/** Whether the message of one send has left completely. */
type Progress = { sent: boolean };

/** The default for the most open connections of one process. */
export const poolConnections = 5;

export type SmtpOptions = {
  /** smtp://user:password@host:port or smtps://…, as in SMTP_URL. */
  readonly url: string;
  readonly leaseMs: Milliseconds;
  readonly connections?: number;
  /** The name in EHLO. */
  readonly name?: string;
  readonly log?: Pick<ProviderLog, 'warn'>;
  readonly clock?: Clock;
};

type Settings = ReturnType<typeof transportSettings>;

/** Loads nodemailer for the first email only. */
async function openTransport(settings: Settings, sending: WeakMap<AbortSignal, Progress>) {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport(settings);
  // A reply lost after the final dot looks like a connection that never greeted (FACTS 18). So record when the message has left.
  transport.use('stream', (mail, done) => {
    const progress = mail.data.signal && sending.get(mail.data.signal);
    mail.message.processFunc((stream) => stream.once('end', () => progress && (progress.sent = true)));
    done();
  });
  return transport;
}

type Pool = { readonly transport: ReturnType<typeof openTransport>; running: number; retired: boolean };

/** @throws WaybillError `smtp_url_invalid` */
// oxlint-disable-next-line max-lines-per-function -- methods over one provider's connections
export function createSmtpProvider(options: SmtpOptions): EmailProvider {
  const { connections: most = poolConnections, log, clock = performance } = options;
  const settings = transportSettings(options, most);
  const connections = createConnections(most, clock);
  const sending = new WeakMap<AbortSignal, Progress>();
  let pool: Pool | undefined;

  const current = (): Pool =>
    (pool ??= { transport: openTransport(settings, sending), running: 0, retired: false });

  async function left(used: Pool): Promise<void> {
    used.running -= 1;
    if (used.retired && used.running === 0) (await used.transport).close();
  }

  /** A busy pool keeps its connections open, so a pool with too many is replaced by a new one. */
  function fewer(used: Pool, seat: Seat): void {
    const limit = seat.tooMany();
    if (limit === undefined) return;
    const facts = { connections: limit, most };
    log?.warn(facts, 'the mail server has too many connections of ours: fewer for now');
    used.retired = true;
    if (pool === used) pool = undefined;
  }

  return {
    name: 'smtp',
    idempotent: false,
    async send(email, about) {
      const progress: Progress = { sent: false };
      const seat = await connections.enter(about.signal).catch((error: Error) => {
        throw factsOf(Object.assign(error, { code: 'EABORT' }), 'connect');
      });
      const used = current();
      used.running += 1;
      const signal = AbortSignal.any([about.signal]); // its own signal, because sends may share theirs
      sending.set(signal, progress);
      try {
        const transport = await used.transport;
        const end = await transport.sendMail({ ...mailOf(email, about), signal });
        const { accepted, response, rejectedErrors = [] } = end;
        return { accepted, response, rejected: rejectedErrors.map(refusedRecipient) };
      } catch (error) {
        const told = emailError(error as NodemailerError, progress);
        if (ruleOf(told).fewerConnections) fewer(used, seat);
        throw told;
      } finally {
        seat.leave();
        await left(used);
      }
    },
    async verify(signal) {
      await verified(await current().transport, signal);
    },
    async close() {
      (await pool?.transport)?.close({ force: true });
    },
  };
}

/** The connection of `verify` is none of the pool's, and its own timeouts end it: the sends of others go on. */
async function verified(transport: Awaited<Pool['transport']>, signal: AbortSignal): Promise<void> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (): void =>
    reject(Object.assign(new Error('ended before the server answered'), { code: 'EABORT' }));
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    await Promise.race([transport.verify(), ended]);
  } catch (error) {
    throw emailError(error as NodemailerError, { sent: false });
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function serverOf(url: string): SmtpServer {
  try {
    return readSmtpUrl(url);
  } catch (error) {
    if (!(error instanceof SmtpUrlError)) throw error;
    throw new WaybillError('smtp_url_invalid', `SMTP_URL ${error.message}`);
  }
}

function transportSettings(options: SmtpOptions, maxConnections: number) {
  const { url, leaseMs, name = smtpName(null, null) } = options;
  const { host, port, secure, tls, login, authority } = serverOf(url);
  const timeoutMs = Math.floor(leaseMs / 3);
  // Servers check for spam between the message and their reply (RFC 5321, 4.5.3.2.6 allows 10 minutes). Giving up early may
  // duplicate the message, so this timeout is as long as the lease allows.
  const replyPatience = Math.floor((leaseMs * 3) / 4);
  return {
    pool: true as const,
    maxConnections,
    host,
    port,
    secure,
    name,
    requireTLS: !secure && tls === 'required',
    ignoreTLS: tls === 'off',
    tls: { rejectUnauthorized: true, ...(authority !== null && { ca: authority }) },
    ...(login && { auth: login }),
    maxRequeues: 0,
    maxResponseSize: 65_536, // a reply has a few hundred octets; a longer one ends the connection
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: replyPatience,
    dnsTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function refusedRecipient(error: NodemailerError): Receipt['rejected'][number] {
  const { recipient = '', response, message } = error;
  const { type } = ruleOf(factsOf(error, 'answered'));
  return { address: recipient, error: response ?? message, temporary: type !== 'permanent' };
}

/** When all recipients are refused, the error with the greatest weight counts. */
const weight = { operator: 2, transient: 1, permanent: 0 } as const;

function emailError(error: NodemailerError, { sent }: Progress): EmailError {
  const refusals = (error.rejectedErrors ?? []).map((one) => factsOf(one, 'answered'));
  const [worst] = refusals.toSorted((one, other) => weight[ruleOf(other).type] - weight[ruleOf(one).type]);
  return worst ?? factsOf(error, error.responseCode ? 'answered' : sent ? 'sent' : 'connect');
}

function factsOf(error: NodemailerError, phase: Phase): EmailError {
  const { message, responseCode, command, code, originalCode } = error;
  const codes = { code: originalCode ?? code, responseCode: responseCode || undefined };
  return new EmailError(message, { provider: 'smtp', phase, command, ...codes }, { cause: error });
}
