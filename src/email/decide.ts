// What an email error means: one table, read from the top, the first row that fits. Nothing else in the project judges replies of servers.
// docs/email.md shows it to users, and a test holds the two together.

import type { Failure } from '../outbox/outcome.ts';
import type { EmailError } from './error.ts';

type Row = {
  readonly fits: (error: EmailError) => boolean;
  /** As people say it. */
  readonly when: string;
  readonly type: Failure['type'];
  readonly why: string;
  /** It asked everybody to wait, not this message alone. */
  readonly holdsQueue?: true;
};

const reply =
  (...codes: readonly number[]) =>
  ({ responseCode }: EmailError): boolean =>
    responseCode !== undefined && codes.includes(responseCode);
const replies =
  (first: number) =>
  ({ responseCode }: EmailError) =>
    responseCode !== undefined && Math.floor(responseCode / 100) === first;
const code =
  (...codes: readonly string[]) =>
  (error: EmailError): boolean =>
    error.code !== undefined && codes.includes(error.code);
const to =
  (...commands: readonly string[]) =>
  ({ command }: EmailError): boolean =>
    command !== undefined && commands.includes(command);
const status =
  (...codes: readonly number[]) =>
  ({ status: answered }: EmailError): boolean =>
    answered !== undefined && codes.includes(answered);
const statuses =
  (first: number) =>
  ({ status: answered }: EmailError) =>
    answered !== undefined && Math.floor(answered / 100) === first;
const both =
  (...rules: readonly Row['fits'][]) =>
  (error: EmailError): boolean =>
    rules.every((rule) => rule(error));

/** Of Node's TLS: what the far side showed is not trusted, or is no TLS. */
export const isCertificateCode = (text = ''): boolean =>
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|INVALID_CA$|ETLS$|EREQUIRETLS$)/.test(
    text,
  );
const certificate = ({ code: text }: EmailError): boolean => isCertificateCode(text);

/** Answers over HTTP: RFC 9110, section 15, and resend.com/docs/api-reference/errors. */
const http: readonly Row[] = [
  {
    fits: both(statuses(4), code('daily_quota_exceeded', 'monthly_quota_exceeded')),
    when: 'HTTP 4xx that says that the daily or monthly quota is used up',
    type: 'operator',
    why: "the provider's quota is used up",
  },
  {
    fits: status(401, 402, 403),
    when: 'HTTP 401, 402, 403',
    type: 'operator',
    why: 'the provider does not accept our key',
  },
  {
    fits: status(404, 405),
    when: 'HTTP 404, 405',
    type: 'operator',
    why: "the provider's address does not take emails",
  },
  { fits: statuses(3), when: 'HTTP 3xx', type: 'operator', why: "the provider's address points elsewhere" },
  {
    fits: status(429),
    when: 'HTTP 429',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
  },
  // The key is the message's own: an earlier attempt was taken, with other contents.
  {
    fits: both(status(409), code('invalid_idempotent_request')),
    when: 'HTTP 409 because the same key came with other contents',
    type: 'permanent',
    why: 'the provider took this message before, with other contents',
  },
  {
    fits: status(409),
    when: 'HTTP 409 otherwise',
    type: 'transient',
    why: 'an earlier attempt is still under way at the provider',
  },
  { fits: status(408, 425), when: 'HTTP 408, 425', type: 'transient', why: 'the provider asks to try again' },
  {
    fits: statuses(4),
    when: 'HTTP 4xx otherwise',
    type: 'permanent',
    why: 'the provider refuses the message',
  },
  { fits: statuses(5), when: 'HTTP 5xx', type: 'transient', why: 'the provider fails at present' },
  {
    fits: code('EANSWER'),
    when: "HTTP 2xx with an answer that is none of the provider's (HTML, nothing)",
    type: 'transient',
    why: "the provider's answer cannot be read",
  },
];

const smtp: readonly Row[] = [
  // RFC 5321, 3.8 and 4.2.3: 421, the service is closing; may come as the reply to any command.
  {
    fits: reply(421),
    when: 'SMTP 421 to any command',
    type: 'transient',
    why: 'the server is closing its service',
  },
  // RFC 5321, 4.2.3: 503, bad sequence of commands. Says something about the session, not about the message.
  { fits: reply(503), when: 'SMTP 503', type: 'transient', why: 'the session was out of step' },
  // RFC 4954, 6 and RFC 3207, 4: 454, temporary failure of authentication, or TLS not available for a temporary reason.
  {
    fits: reply(454),
    when: 'SMTP 454',
    type: 'transient',
    why: 'the server cannot authenticate or encrypt at present',
  },
  // RFC 4954, 6: 432 password transition needed, 530 authentication required (RFC 3207, 4: STARTTLS first),
  // 534 mechanism too weak, 535 credentials invalid, 538 encryption required (RFC 2554, 6).
  {
    fits: reply(432, 530, 534, 535, 538),
    when: 'SMTP 432, 530, 534, 535, 538',
    type: 'operator',
    why: 'the server does not accept our login',
  },
  {
    fits: code('EAUTH', 'ENOAUTH', 'EOAUTH2'),
    when: 'a login that fails otherwise',
    type: 'operator',
    why: 'the server does not accept our login',
  },
  // RFC 8314, 5.2 and RFC 6125, 6.6: what cannot be verified is not trusted; RFC 3207, 4: STARTTLS was refused.
  {
    fits: certificate,
    when: 'a certificate that is expired, of another name or not trusted; no TLS where it is required',
    type: 'operator',
    why: 'no trusted encryption with the server',
  },
  // RFC 5321, 5.1: a host that does not exist is a permanent error. The host is configuration; EAI_AGAIN is another code.
  {
    fits: code('ENOTFOUND', 'ECONFIG'),
    when: 'a host that does not exist',
    type: 'operator',
    why: "the provider's host does not exist",
  },
  // RFC 5321, 3.1 and RFC 7504, 3: 554, 521 or another 5yz as the greeting. No message has been mentioned yet.
  {
    fits: both(replies(5), to('CONN', 'EHLO', 'HELO', 'LHLO')),
    when: 'SMTP 5yz as the greeting, or to EHLO',
    type: 'operator',
    why: 'the server does not talk to us',
  },
  // RFC 5321, 4.5.3.1.10: 552 to RCPT is an old way of saying 452, too many recipients.
  {
    fits: both(reply(552), to('RCPT TO')),
    when: 'SMTP 552 to RCPT',
    type: 'transient',
    why: 'the server wants fewer recipients at a time',
  },
  // RFC 5321, 4.2.1: 4yz, transient negative completion: the sender should try again.
  { fits: replies(4), when: 'SMTP 4yz otherwise', type: 'transient', why: 'the server asks to try again' },
  // RFC 5321, 4.2.1: 5yz, permanent negative completion: the sender should not repeat it.
  { fits: replies(5), when: 'SMTP 5yz otherwise', type: 'permanent', why: 'the server refuses the message' },
  // RFC 1870, 6.1: the server said at EHLO how much it takes. Nodemailer compares, so there is no reply.
  {
    fits: both(code('EMESSAGE'), to('MAIL FROM')),
    when: 'larger than the SIZE that the server announced',
    type: 'permanent',
    why: 'the message is larger than the server takes',
  },
  // Refused by nodemailer before anything was sent: the message itself cannot be written.
  {
    fits: both(code('EENVELOPE', 'EMESSAGE', 'EFILEACCESS', 'EURLACCESS', 'EMAXRECIPIENTS'), to('API')),
    when: 'a message that cannot be written',
    type: 'permanent',
    why: 'the message cannot be sent',
  },
  // RFC 5321, 4.5.3.2.6 and 6.1: the message went out and the reply got lost. It may have been accepted; repeating it may double it.
  {
    fits: ({ phase }) => phase === 'sent',
    when: 'the connection is lost after the body, before the answer',
    type: 'transient',
    why: 'the connection was lost after the message, before its reply',
  },
  // RFC 5321, 4.5.4.1: everything before (ECONNREFUSED, ETIMEDOUT, ECONNRESET, EAI_AGAIN, an abort): the sender tries again later.
  {
    fits: () => true,
    when: 'everything before: refused, reset, timed out, a name server that does not answer',
    type: 'transient',
    why: 'the message did not reach the server',
  },
];

/** In their order. */
export const decisions: readonly Row[] = [...http, ...smtp];

/** Total: every error has a row. The text may hold addresses and whatever the server said; failureOf cleans it. */
export function decideEmail(error: EmailError): Failure {
  const { type, why, holdsQueue } = decisions.find(({ fits }) => fits(error))!;
  const { retryAfter } = error;
  return {
    type,
    message: `${error.provider}: ${why}: ${error.message}`,
    ...(retryAfter !== undefined && type === 'transient' && { retryAfter }),
    ...(holdsQueue && { holdsQueue }),
    ...(error.phase === 'sent' && { ambiguous: true }),
  };
}
