// The provider `smtp`: a pool of connections. It never tries twice by itself and gives up before the lease could run out:
// when to try again is the outbox's business.

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

/** How far the message of one send got. */
type Progress = { sent: boolean };

/** Open to the server at most, of one process, unless it is told otherwise. */
export const poolConnections = 5;

export type SmtpOptions = {
  /** smtp://user:password@host:port or smtps://…, as SMTP_URL has it. */
  readonly url: string;
  readonly leaseMs: Milliseconds;
  readonly connections?: number;
  /** By which this machine greets the server. */
  readonly name?: string;
  readonly log?: Pick<ProviderLog, 'warn'>;
  readonly clock?: Clock;
};

type Settings = ReturnType<typeof transportSettings>;

/** For the first email: who sends none does not load nodemailer. */
async function openTransport(settings: Settings, sending: WeakMap<AbortSignal, Progress>) {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport(settings);
  // A reply that got lost after the final dot looks like a connection that never greeted (FACTS 18): so we watch the message leave.
  transport.use('stream', (mail, done) => {
    const progress = mail.data.signal && sending.get(mail.data.signal);
    mail.message.processFunc((stream) => stream.once('end', () => progress && (progress.sent = true)));
    done();
  });
  return transport;
}

type Pool = { readonly transport: ReturnType<typeof openTransport>; running: number; retired: boolean };

/** @throws WaybillError `smtp_url_invalid` */
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

  /** What is open stays open as long as something is sent over it, so a pool that is too large is left for a new one. */
  function fewer(used: Pool, seat: Seat): void {
    const limit = seat.tooMany();
    if (limit === undefined) return;
    log?.warn(
      { connections: limit, most },
      'the mail server has too many connections of ours: fewer for now',
    );
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
      const signal = AbortSignal.any([about.signal]); // one of its own: sends may share theirs
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
      const transport = await current().transport;
      signal.addEventListener('abort', () => transport.close({ force: true }), { once: true });
      await transport.verify().catch((error: NodemailerError) => {
        throw emailError(error, { sent: false });
      });
    },
    async close() {
      (await pool?.transport)?.close({ force: true });
    },
  };
}

function serverOf(url: string): SmtpServer {
  try {
    return readSmtpUrl(url);
  } catch (error) {
    if (!(error instanceof SmtpUrlError)) throw error;
    throw new WaybillError('smtp_url_invalid', `SMTP_URL ${error.message}`);
  }
}

function transportSettings(
  { url, leaseMs, name = smtpName(null, null) }: SmtpOptions,
  maxConnections: number,
) {
  const { host, port, secure, tls, login, authority } = serverOf(url);
  const timeoutMs = Math.floor(leaseMs / 3);
  // Servers look for spam between the message and their reply (RFC 5321, 4.5.3.2.6 grants them 10 minutes). To leave early doubles the
  // message, so this one is as long as the lease allows.
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
    maxResponseSize: 65_536, // an answer has some hundred octets; a server that goes on is not waited for
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

/** Of many refused recipients the one that says most about the others: what concerns us, then what passes. */
const weight = { operator: 2, transient: 1, permanent: 0 } as const;

function emailError(error: NodemailerError, { sent }: Progress): EmailError {
  const refusals = (error.rejectedErrors ?? []).map((one) => factsOf(one, 'answered'));
  const [worst] = refusals.toSorted((one, other) => weight[ruleOf(other).type] - weight[ruleOf(one).type]);
  return worst ?? factsOf(error, error.responseCode ? 'answered' : sent ? 'sent' : 'connect');
}

function factsOf(error: NodemailerError, phase: Phase): EmailError {
  const { message, responseCode, command, code, originalCode } = error;
  const facts = {
    provider: 'smtp',
    phase,
    code: originalCode ?? code,
    responseCode: responseCode || undefined,
    command,
  } as const;
  return new EmailError(message, facts, { cause: error });
}
