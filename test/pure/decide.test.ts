// A test for each line of the table that says what an email error means.

import { expect, test } from 'vitest';
import { decideEmail, decisions, ruleOf } from '../../src/email/decide.ts';
import { EmailError, type EmailFacts } from '../../src/email/error.ts';

type Facts = Partial<Omit<EmailFacts, 'provider'>>;

function decide(facts: Facts) {
  return decideEmail(
    new EmailError('what was said', {
      provider: 'smtp',
      phase: facts.responseCode ? 'answered' : 'connect',
      ...facts,
    }),
  );
}

const lines: readonly [title: string, type: string, facts: Facts][] = [
  ['421 to RCPT', 'transient', { responseCode: 421, code: 'ECONNECTION', command: 'CONN' }],
  ['421 to a login', 'transient', { responseCode: 421, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['503', 'transient', { responseCode: 503, code: 'EENVELOPE', command: 'MAIL FROM' }],
  ['454 to a login', 'transient', { responseCode: 454, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['454 to STARTTLS', 'transient', { responseCode: 454, code: 'ETLS', command: 'STARTTLS' }],
  ['432', 'operator', { responseCode: 432, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['530 to MAIL', 'operator', { responseCode: 530, code: 'EENVELOPE', command: 'MAIL FROM' }],
  ['534', 'operator', { responseCode: 534, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['535', 'operator', { responseCode: 535, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['538', 'operator', { responseCode: 538, code: 'EAUTH', command: 'AUTH PLAIN' }],
  ['a login that failed without a code', 'operator', { code: 'EAUTH', command: 'API' }],
  ['no credentials', 'operator', { code: 'ENOAUTH', command: 'API' }],
  ['a certificate that ran out', 'operator', { code: 'CERT_HAS_EXPIRED', command: 'CONN' }],
  ['a certificate signed by itself', 'operator', { code: 'DEPTH_ZERO_SELF_SIGNED_CERT', command: 'CONN' }],
  ['a certificate of another host', 'operator', { code: 'ERR_TLS_CERT_ALTNAME_INVALID', command: 'CONN' }],
  ['an unknown authority', 'operator', { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', command: 'CONN' }],
  ['no TLS at all', 'operator', { code: 'ERR_SSL_WRONG_VERSION_NUMBER', command: 'CONN' }],
  ['STARTTLS refused', 'operator', { responseCode: 502, code: 'ETLS', command: 'STARTTLS' }],
  ['an unknown host', 'operator', { code: 'ENOTFOUND', command: 'CONN' }],
  ['554 as the greeting', 'operator', { responseCode: 554, code: 'EPROTOCOL', command: 'CONN' }],
  ['550 to EHLO', 'operator', { responseCode: 550, code: 'EPROTOCOL', command: 'EHLO' }],
  ['552 to RCPT', 'transient', { responseCode: 552, code: 'EENVELOPE', command: 'RCPT TO' }],
  ['552 to DATA', 'permanent', { responseCode: 552, code: 'EMESSAGE', command: 'DATA' }],
  ['451 to MAIL', 'transient', { responseCode: 451, code: 'EENVELOPE', command: 'MAIL FROM' }],
  ['450 to RCPT', 'transient', { responseCode: 450, code: 'EENVELOPE', command: 'RCPT TO' }],
  ['452 to DATA', 'transient', { responseCode: 452, code: 'EMESSAGE', command: 'DATA' }],
  ['451 as the greeting', 'transient', { responseCode: 451, code: 'EPROTOCOL', command: 'CONN' }],
  ['550 to MAIL', 'permanent', { responseCode: 550, code: 'EENVELOPE', command: 'MAIL FROM' }],
  ['550 to RCPT', 'permanent', { responseCode: 550, code: 'EENVELOPE', command: 'RCPT TO' }],
  ['554 to DATA', 'permanent', { responseCode: 554, code: 'EMESSAGE', command: 'DATA' }],
  ['larger than SIZE', 'permanent', { code: 'EMESSAGE', command: 'MAIL FROM' }],
  ['no envelope', 'permanent', { code: 'EENVELOPE', command: 'API' }],
  ['connection refused', 'transient', { code: 'ECONNREFUSED', command: 'CONN' }],
  ['a timeout', 'transient', { code: 'ETIMEDOUT', command: 'CONN' }],
  ['a connection that fetch waited for in vain', 'transient', { code: 'UND_ERR_CONNECT_TIMEOUT' }],
  ['a name server that does not answer', 'transient', { code: 'EAI_AGAIN', command: 'CONN' }],
  ['a reset', 'transient', { code: 'ECONNRESET', command: 'CONN' }],
  ['lost before the message', 'transient', { code: 'ECONNECTION', command: 'CONN' }],
  ['an abort', 'transient', { code: 'EABORT' }],
  ['nothing known', 'transient', {}],
  ['HTTP 301', 'operator', { status: 301 }],
  ['HTTP 400', 'permanent', { status: 400, code: 'validation_error' }],
  ['HTTP 401', 'operator', { status: 401, code: 'missing_api_key' }],
  ['HTTP 402', 'operator', { status: 402 }],
  ['HTTP 403', 'operator', { status: 403, code: 'invalid_api_key' }],
  ['HTTP 404', 'operator', { status: 404 }],
  ['HTTP 405', 'operator', { status: 405 }],
  ['HTTP 408', 'transient', { status: 408 }],
  [
    'HTTP 409, another attempt under way',
    'transient',
    { status: 409, code: 'concurrent_idempotent_requests' },
  ],
  ['HTTP 409, other contents', 'permanent', { status: 409, code: 'invalid_idempotent_request' }],
  ['HTTP 413', 'permanent', { status: 413 }],
  ['HTTP 413 of a proxy', 'transient', { status: 413, code: 'EANSWER' }],
  ['HTTP 421', 'transient', { status: 421 }],
  ['HTTP 422', 'permanent', { status: 422, code: 'invalid_attachment' }],
  ['HTTP 425', 'transient', { status: 425 }],
  ['HTTP 429', 'transient', { status: 429, code: 'rate_limit_exceeded' }],
  ['a used up daily quota', 'operator', { status: 429, code: 'daily_quota_exceeded' }],
  ['a used up monthly quota', 'operator', { status: 429, code: 'monthly_quota_exceeded' }],
  ['HTTP 451', 'permanent', { status: 451, code: 'security_error' }],
  ['HTTP 500', 'transient', { status: 500 }],
  ['HTTP 503', 'transient', { status: 503 }],
  ['an answer in HTML', 'transient', { status: 200, code: 'EANSWER' }],
];

test.each(lines)('%s: %s', (_, type, facts) => {
  const failure = decide(facts);
  expect(failure).toMatchObject({ type, message: expect.stringMatching(/^smtp: .+: what was said$/) });
  // A provider that fails in its own way may have taken the message all the same.
  const { status = 0 } = facts;
  const doubtful = (facts.code === 'EANSWER' && status < 300) || status >= 500;
  expect(failure.ambiguous).toBe(doubtful ? true : undefined);
});

test.each(['ECONNECTION', 'ECONNRESET', 'ETIMEDOUT', 'EABORT'])(
  'lost after the message (%s): transient and ambiguous',
  (code) => {
    expect(decide({ phase: 'sent', code })).toMatchObject({ type: 'transient', ambiguous: true });
  },
);

/** Replies as servers give them, by stage. */
const answers: readonly [stage: string, said: string, type: string, more?: Record<string, unknown>][] = [
  // A used-up quota parks, whatever the reply's code.
  ['DATA', '550 5.4.5 Daily user sending limit exceeded. For more information on Gmail', 'operator'],
  ['DATA', '550-5.4.5 Daily SMTP relay sending limit exceeded for customer.', 'operator'],
  ['RCPT TO', '550 5.7.1 Daily SMTP relay limit exceeded for customer.', 'operator'],
  [
    'DATA',
    '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message',
    'operator',
  ],
  [
    'DATA',
    '554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded',
    'operator',
  ],
  [
    'RCPT TO',
    "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
    'operator',
  ],
  ['DATA', '454 Throttling failure: Daily message quota exceeded.', 'operator'],
  ['AUTH LOGIN', '451 Authentication failed: Maximum credits exceeded', 'operator'],
  ['MAIL FROM', '550 5.7.1 You have exceeded your hourly sending limit', 'operator'],
  ['RCPT TO', '452 4.3.1 Outgoing message quota exceeded', 'operator'],
  // Others' quotas and limits of one message do not.
  ['RCPT TO', '552-5.2.2 The email account that you tried to reach is over quota.', 'permanent'],
  ['RCPT TO', '452 4.2.2 The email account that you tried to reach is over quota.', 'transient'],
  [
    'RCPT TO',
    "452 4.5.3 Your message has too many recipients. For more information regarding Google's sending limits, visit",
    'transient',
  ],
  ['RCPT TO', '452 4.5.3 Error: too many recipients', 'transient'],
  ['RCPT TO', '552 too many recipients', 'transient'],
  ['DATA', '552 5.3.4 Message size exceeds fixed limit', 'permanent'],
  ['MAIL FROM', '552 5.3.4 Message size exceeds daily limit of one message', 'permanent'],
  ['RCPT TO', '450 4.2.1 The user you are trying to contact is receiving mail too quickly.', 'transient'],
  [
    'RCPT TO',
    '550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages',
    'transient',
  ],
  ['RCPT TO', '450 4.2.1 Peak SMTP relay limit exceeded for customer.', 'transient'],
  // Relaying and logins.
  ['RCPT TO', '554 5.7.1 <ann@b.test>: Relay access denied', 'operator', { maybeOwn: true }],
  ['RCPT TO', '454 4.7.1 <ann@b.test>: Relay access denied', 'operator', { maybeOwn: true }],
  [
    'RCPT TO',
    '550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain',
    'operator',
    { maybeOwn: true },
  ],
  ['RCPT TO', '550 5.7.64 TenantAttribution; Relay Access Denied SMTP', 'operator', { maybeOwn: true }],
  ['RCPT TO', '550 5.7.1 Relaying denied', 'operator', { maybeOwn: true }],
  ['RCPT TO', '550 relay not permitted', 'operator', { maybeOwn: true }],
  [
    'MAIL FROM',
    '530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM',
    'operator',
  ],
  ['MAIL FROM', '550 5.7.1 Authentication required', 'operator'],
  ['MAIL FROM', '503 5.5.1 Authentication required first', 'operator'],
  ['MAIL FROM', '530 5.7.0 Must issue a STARTTLS command first', 'operator'],
  ['MAIL FROM', '451 5.7.3 STARTTLS is required to send mail', 'operator'],
  [
    'AUTH LOGIN',
    '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.',
    'operator',
  ],
  ['AUTH PLAIN', '525 5.7.13 User Account Disabled', 'operator'],
  ['AUTH PLAIN', '432 4.7.12 A password transition is needed', 'operator'],
  ['AUTH PLAIN', '454 4.7.0 Temporary authentication failure', 'transient'],
  ['AUTH PLAIN', '421 4.7.0 Too many auth failures', 'transient'],
  // Connections.
  [
    'DATA',
    '432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending',
    'transient',
  ],
  ['DATA', '432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded', 'transient'],
  ['DATA', '432 4.3.2 try again', 'transient'],
  ['AUTH LOGIN', '432 4.3.2 Concurrent connections limit exceeded', 'transient'],
  ['CONN', '421 4.7.0 mx.test Error: too many connections from 192.0.2.1', 'transient'],
  ['CONN', '421 Too many concurrent SMTP connections', 'transient'],
  ['CONN', '554 5.7.0 Too many connections from your host', 'transient'],
  ['EHLO', '421 4.3.2 Too many open connections.', 'transient'],
  ['MAIL FROM', '421 4.3.2 Connection rate limit exceeded.', 'transient'],
  ['DATA', '454 Throttling failure: Maximum sending rate exceeded.', 'transient', { holdsQueue: true }],
  // Our name and our address.
  ['EHLO', '421 4.7.0 Try again later, closing connection. (EHLO)', 'operator'],
  ['EHLO', '550 5.7.1 bad name', 'operator'],
  ['HELO', '501 5.5.4 Invalid domain name', 'operator'],
  ['HELO', '450 4.7.1 no', 'transient'],
  ['RCPT TO', '504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname', 'operator'],
  ['RCPT TO', '450 4.7.1 <web-1>: Helo command rejected: Host not found', 'operator'],
  [
    'RCPT TO',
    '504 5.5.2 <ann@localhost>: Recipient address rejected: need fully-qualified address',
    'permanent',
  ],
  [
    'RCPT TO',
    '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org',
    'operator',
    { maybeOwn: true },
  ],
  ['RCPT TO', '450 4.7.1 Client host rejected: cannot find your hostname', 'transient'],
  ['AUTH PLAIN', '525 5.7.1 Unauthorized IP address', 'operator'],
  // Our account.
  [
    'DATA',
    '554 Sending suspended for this account. For more information, please check the inbox',
    'operator',
  ],
  ['DATA', '554 Sending paused for this account.', 'operator'],
  [
    'DATA',
    '421 Domain sandbox1.mailgun.org is not allowed to send: Please activate your Mailgun account.',
    'operator',
  ],
  ['DATA', '550 5.1.8 Access denied, bad outbound sender', 'operator'],
  ['DATA', '550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP', 'operator'],
  // This message's sender, content and recipient.
  [
    'DATA',
    '554 Message rejected: Email address is not verified. The following identities failed the check in region',
    'permanent',
  ],
  ['MAIL FROM', '550 The from address does not match a verified Sender Identity.', 'permanent'],
  ['DATA', '554 5.2.252 SendAsDenied; a@b.test not allowed to send as c@b.test', 'permanent'],
  ['DATA', '550 5.7.60 SMTP; Client does not have permissions to send as this sender', 'permanent'],
  ['RCPT TO', '553 5.7.1 <a@b.test>: Sender address rejected: not owned by user me', 'permanent'],
  ['MAIL FROM', '550 5.1.7 bad sender', 'permanent'],
  [
    'DATA',
    "550-5.7.26 Unauthenticated email from b.test is not accepted due to domain's DMARC policy.",
    'permanent',
  ],
  [
    'DATA',
    '552-5.7.0 This message was blocked because its content presents a potential security issue.',
    'permanent',
  ],
  ['DATA', '554 5.7.1 This message looks like spam', 'permanent'],
  ['RCPT TO', '550 5.2.1 The email account that you tried to reach is disabled.', 'permanent'],
];

test.each(answers)('%s: %s: %s', (command, said, type, more = {}) => {
  const code = command.startsWith('AUTH') ? 'EAUTH' : 'EENVELOPE';
  const facts = {
    responseCode: Number(said.slice(0, 3)),
    command,
    code,
    phase: 'answered',
    provider: 'smtp',
  } as const;
  expect(decideEmail(new EmailError(`Refused: ${said}`, facts))).toMatchObject({ type, ...more });
});

test.each([
  ['RCPT TO', '550 5.1.1 User unknown', true],
  ['RCPT TO', '550 no such user here', true],
  ['RCPT TO', '552-5.2.2 over quota', true],
  ['DATA', '550 5.1.1 User unknown', true],
  ['RCPT TO', '550 5.7.1 looks like spam', undefined],
  ['DATA', '554 5.7.1 looks like spam', undefined],
  ['MAIL FROM', '550 5.1.7 bad sender', undefined],
])('%s: %s: whether the recipient is the reason: %s', (command, said, recipient) => {
  const facts = {
    responseCode: Number(said.slice(0, 3)),
    command,
    phase: 'answered',
    provider: 'smtp',
  } as const;
  expect(ruleOf(new EmailError(said, facts)).recipient).toBe(recipient);
});

test('too many connections asks for fewer, and nothing else does', () => {
  const facts = { responseCode: 421, command: 'CONN', phase: 'answered', provider: 'smtp' } as const;
  expect(ruleOf(new EmailError('421 4.7.0 too many connections', facts)).fewerConnections).toBe(true);
  expect(ruleOf(new EmailError('421 closing', facts)).fewerConnections).toBeUndefined();
});

/** Resend's answers by status, name and message. */
const resendAnswers: readonly [status: number, name: string, message: string, type: string][] = [
  [400, 'validation_error', 'API key is invalid', 'operator'],
  [401, 'validation_error', 'API key is invalid', 'operator'],
  [403, 'invalid_api_key', 'API key is invalid', 'operator'],
  [401, 'missing_api_key', 'Missing API Key', 'operator'],
  [401, 'restricted_api_key', 'This API key is restricted to only send emails', 'operator'],
  [403, 'validation_error', 'This API key is suspended', 'operator'],
  [403, 'validation_error', 'Your account has been suspended', 'operator'],
  [422, 'daily_quota_exceeded', 'You have reached your daily email sending quota.', 'operator'],
  [429, 'monthly_quota_exceeded', 'You have reached your monthly email sending quota.', 'operator'],
  [429, 'validation_error', 'You have reached your daily email sending quota.', 'operator'],
  [429, 'rate_limit_exceeded', 'Too many requests', 'transient'],
  [
    403,
    'validation_error',
    'The shop.test domain is not verified. Please, add and verify your domain',
    'permanent',
  ],
  [
    403,
    'validation_error',
    'You can only send testing emails to your own email address (a@b.test).',
    'permanent',
  ],
  [403, 'restricted_api_key', 'This API key is not authorized to send emails from shop.test', 'permanent'],
  [401, 'validation_error', 'Invalid `from` field', 'permanent'],
  [422, 'invalid_from_address', 'Invalid from field', 'permanent'],
  [422, 'missing_required_field', 'Missing `to` field', 'permanent'],
  [422, 'invalid_attachment', 'Attachment must have either a content or path', 'permanent'],
  [400, 'invalid_idempotency_key', 'must be between 1-256 chars', 'permanent'],
  [451, 'security_error', 'We may have found a security issue', 'permanent'],
  [403, 'forbidden', 'no', 'operator'],
  [404, 'not_found', 'The requested endpoint does not exist', 'operator'],
  [500, 'application_error', 'An unexpected error occurred', 'transient'],
];

test.each(resendAnswers)('HTTP %i %s: %s: %s', (status, code, said, type) => {
  const facts = { provider: 'resend', phase: 'answered', status, code } as const;
  expect(decideEmail(new EmailError(`HTTP ${status} ${code}: ${said}`, facts)).type).toBe(type);
});

test('every row says where it is written', () => {
  for (const { source, stage, provider } of decisions)
    for (const text of [source, stage, provider]) expect(text).toMatch(/./);
});

test('429 holds the whole queue for as long as the provider says, and nothing else does', () => {
  expect(decide({ status: 429, retryAfter: 7_000 })).toMatchObject({ holdsQueue: true, retryAfter: 7_000 });
  expect(decide({ status: 503, retryAfter: 7_000 })).toMatchObject({ retryAfter: 7_000 });
  expect(decide({ status: 503, retryAfter: 7_000 }).holdsQueue).toBeUndefined();
  expect(decide({ status: 401, retryAfter: 7_000 }).retryAfter).toBeUndefined();
});
