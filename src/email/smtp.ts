// The provider `smtp`: a pool of connections. It never tries twice by itself and gives up before the lease could run out:
// when to try again is the outbox's business.

import type { NodemailerError } from 'nodemailer';
import { WaybillError } from '../outbox/errors.ts';
import type { Milliseconds } from '../ports.ts';
import { ruleOf } from './decide.ts';
import { EmailError, type Phase } from './error.ts';
import { mailOf } from './mime.ts';
import type { EmailProvider, Receipt } from './provider.ts';

/** How far the message of one send got. */
type Progress = { sent: boolean };

/** Open to the server at most, of one process. */
export const poolConnections = 5;

export type SmtpOptions = { readonly url: string; readonly leaseMs: Milliseconds };

/** @param options.url smtp://user:password@host:port or smtps://…; in it, user and password are percent-encoded */
export function createSmtpProvider({ url, leaseMs }: SmtpOptions): EmailProvider {
  const settings = transportSettings(url, leaseMs);
  const running = new WeakMap<AbortSignal, Progress>();
  let opened: ReturnType<typeof open> | undefined;

  /** For the first email: who sends none does not load nodemailer. */
  async function open() {
    const { createTransport } = await import('nodemailer');
    const transport = createTransport(settings);
    // A reply that got lost after the final dot looks like a connection that never greeted (FACTS 18): so we watch the message leave.
    transport.use('stream', (mail, done) => {
      const progress = mail.data.signal && running.get(mail.data.signal);
      mail.message.processFunc((stream) => stream.once('end', () => progress && (progress.sent = true)));
      done();
    });
    return transport;
  }

  return {
    name: 'smtp',
    idempotent: false,
    async send(email, about) {
      const transport = await (opened ??= open());
      const signal = AbortSignal.any([about.signal]); // one of its own: sends may share theirs
      const progress: Progress = { sent: false };
      running.set(signal, progress);
      try {
        const {
          accepted,
          response,
          rejectedErrors = [],
        } = await transport.sendMail({ ...mailOf(email, about), signal });
        return { accepted, response, rejected: rejectedErrors.map(refusedRecipient) };
      } catch (error) {
        throw emailError(error as NodemailerError, progress);
      }
    },
    async verify(signal) {
      const transport = await (opened ??= open());
      signal.addEventListener('abort', () => transport.close({ force: true }), { once: true });
      await transport.verify().catch((error: NodemailerError) => {
        throw emailError(error, { sent: false });
      });
    },
    async close() {
      (await opened)?.close({ force: true });
    },
  };
}

function transportSettings(url: string, leaseMs: Milliseconds) {
  const { protocol, hostname, port, username, password, search } = new URL(url);
  // nodemailer would take any option from the query, `tls.rejectUnauthorized=false` too.
  if (search !== '')
    throw new WaybillError('smtp_url_invalid', 'SMTP_URL must not have parameters (what follows the ?)');
  const secure = protocol === 'smtps:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const patience = Math.floor(leaseMs / 3);
  // Servers look for spam between the message and their reply (RFC 5321, 4.5.3.2.6 grants them 10 minutes). To leave early doubles the
  // message, so this one is as long as the lease allows.
  const replyPatience = Math.floor((leaseMs * 3) / 4);
  return {
    pool: true as const,
    maxConnections: poolConnections,
    host,
    port: port === '' ? (secure ? 465 : 587) : Number(port),
    secure,
    // A password never goes over a network in clear; without one, STARTTLS is used if it is offered.
    requireTLS: !secure && username !== '' && !isLoopback(host),
    tls: { rejectUnauthorized: true },
    ...(username === '' ? {} : { auth: { user: decoded(username), pass: decoded(password) } }),
    maxRequeues: 0,
    connectionTimeout: patience,
    greetingTimeout: patience,
    socketTimeout: replyPatience,
    dnsTimeout: patience,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new WaybillError(
      'smtp_url_invalid',
      'user and password in SMTP_URL must be percent-encoded: a % in them is written %25',
    );
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
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
