// The table of email errors: an example for each row that holds for every provider, and the words that servers vary. All of it is pure.

import { describe, expect, it, test } from 'vitest';
import { decideEmail, ruleOf } from '../../src/email/decide.ts';
import { EmailError, type EmailFacts } from '../../src/email/error.ts';
import { httpRules } from '../../src/email/http-rules.ts';
import { by, enhanced, isCertificateCode } from '../../src/email/rule.ts';
import { smtpRules } from '../../src/email/smtp/rules.ts';
import type { Failure } from '../../src/message/outcome.ts';

type Facts = Partial<Omit<EmailFacts, 'provider'>>;

const errorOf = (said: string, facts: Facts): EmailError =>
  new EmailError(said, { provider: 'p', phase: 'answered', ...facts });

/** A reply to a command, as a server writes it. */
const replyTo = (command: string, said: string): EmailError =>
  errorOf(said, { responseCode: Number(said.slice(0, 3)), command });

const http = (status: number, said = 'no', code?: string): EmailError => errorOf(said, { status, code });

type More = Partial<Failure> & { readonly fewerConnections?: true };
type Example = readonly [error: EmailError, type: Failure['type'], why: string, more?: More];

const holdsQueue = { holdsQueue: true } as const;
const maybeOwn = { maybeOwn: true } as const;
const ambiguous = { ambiguous: true } as const;
const noKey = 'the provider does not accept our key';
const quota = "the provider's quota is used up";
const noLogin = 'the server does not accept our login';
const noTls = 'no trusted encryption with the server';
const closedAccount = 'the provider has closed our account';
const name = 'the server does not accept the name by which we greet it (WAYBILL_SMTP_NAME)';
const tooMany = 'the server has too many connections of ours';
const wrongSender = "the server does not accept the message's sender";
const noRelay = 'the server does not relay for us';
const noHost = 'the server does not talk to our host';

/** One for each row that is of no provider alone, in the order of the table (docs/email.md). */
const examples: readonly Example[] = [
  [http(429, 'no', 'daily_quota_exceeded'), 'operator', quota],
  [
    http(403, 'not authorized to send emails from shop.test'),
    'permanent',
    "the provider does not accept the message's sender",
  ],
  [http(403, 'no', 'invalid_api_key'), 'operator', noKey],
  [http(403, 'Your account has been suspended'), 'operator', closedAccount],
  [http(404), 'operator', "the provider's address does not take emails"],
  [http(415), 'operator', 'the provider does not understand our requests', maybeOwn],
  [http(301), 'operator', "the provider's address points elsewhere"],
  [http(429), 'transient', 'the provider wants fewer requests', holdsQueue],
  [
    http(409, 'no', 'invalid_idempotent_request'),
    'permanent',
    'the provider took this message before, with other contents',
  ],
  [http(409), 'transient', 'an earlier attempt is still under way at the provider'],
  [http(408), 'transient', 'the provider asks to try again'],
  [
    http(422, 'Invalid `to` field. The email address needs', 'validation_error'),
    'permanent',
    'the provider does not send to this recipient',
  ],
  [http(403, 'no', 'validation_error'), 'permanent', 'the provider refuses the message'],
  [http(402), 'operator', noKey, maybeOwn],
  [http(400, 'no', 'EANSWER'), 'transient', "something else than the provider's API answered"],
  [http(413), 'permanent', 'the provider refuses the message'],
  [http(500), 'transient', 'the provider fails at present', ambiguous],
  [http(200, 'no', 'EANSWER'), 'transient', "the provider's answer cannot be read", ambiguous],
  [replyTo('CONN', '421 Too many connections'), 'transient', tooMany, { fewerConnections: true }],
  [replyTo('EHLO', '550 bad name'), 'operator', name],
  [replyTo('RCPT TO', '450 4.7.1 <web-1>: Helo command rejected: Host not found'), 'operator', name],
  [
    replyTo('DATA', '454 Throttling failure: Maximum sending rate exceeded.'),
    'transient',
    'the provider wants fewer messages at a time',
    holdsQueue,
  ],
  [replyTo('DATA', '454 Throttling failure: Daily message quota exceeded.'), 'operator', quota],
  [replyTo('DATA', '554 Message rejected: Email address is not verified.'), 'permanent', wrongSender],
  [replyTo('DATA', '554 Sending paused for this account.'), 'operator', closedAccount, maybeOwn],
  [replyTo('RCPT TO', '554 5.7.1 <ann@b.test>: Relay access denied'), 'operator', noRelay, maybeOwn],
  [replyTo('MAIL FROM', '530 5.7.0 Must issue a STARTTLS command first'), 'operator', noTls],
  [replyTo('MAIL FROM', '550 5.7.1 Authentication required'), 'operator', noLogin],
  [replyTo('RCPT TO', '554 5.7.1 Client host [192.0.2.1] blocked'), 'operator', noHost, maybeOwn],
  [replyTo('DATA', '421 closing'), 'transient', 'the server is closing its service'],
  [replyTo('MAIL FROM', '503 no'), 'transient', 'the session was out of step'],
  [replyTo('AUTH PLAIN', '454 no'), 'transient', 'the server cannot authenticate or encrypt at present'],
  [replyTo('AUTH PLAIN', '535 no'), 'operator', noLogin],
  [replyTo('AUTH PLAIN', '432 no'), 'operator', noLogin],
  [errorOf('no', { code: 'CERT_HAS_EXPIRED', command: 'CONN' }), 'operator', noTls],
  [errorOf('no', { code: 'ENOTFOUND', command: 'CONN' }), 'operator', "the provider's host does not exist"],
  [replyTo('CONN', '554 no'), 'operator', 'the server does not talk to us'],
  [
    replyTo('RCPT TO', '450 4.2.1 The user is receiving mail too quickly.'),
    'transient',
    'the recipient gets too much mail at present',
  ],
  [replyTo('RCPT TO', '552 no'), 'transient', 'the server wants fewer recipients at a time'],
  [replyTo('RCPT TO', '451 no'), 'transient', 'the server asks to try again'],
  [
    replyTo('RCPT TO', '550 5.1.1 User unknown'),
    'permanent',
    'the server refuses the message',
    { recipient: true },
  ],
  [replyTo('DATA', '554 no'), 'permanent', 'the server refuses the message'],
  [
    errorOf('no', { code: 'EMESSAGE', command: 'MAIL FROM' }),
    'permanent',
    'the message is larger than the server takes',
  ],
  [errorOf('no', { code: 'EENVELOPE', command: 'API' }), 'permanent', 'the message cannot be sent'],
  [
    errorOf('no', { code: 'ECONNRESET', command: 'CONN', phase: 'sent' }),
    'transient',
    'the connection was lost after the message, before its reply',
    ambiguous,
  ],
  [
    errorOf('no', { code: 'ECONNREFUSED', command: 'CONN', phase: 'connect' }),
    'transient',
    'the message did not reach the server',
  ],
];

test('each row of the table has an example, in the order of the rows', () => {
  const rows = [...httpRules, ...smtpRules];
  expect(examples.map(([error]) => rows.indexOf(ruleOf(error)))).toEqual([...rows.keys()]);
});

test.each(
  examples.map(([error, type, why, more]: Example) => ({ said: error.message, error, type, why, more })),
)('$said: $type: $why', ({ error, type, why, more = {} }) => {
  const { fewerConnections, ...flags } = more;
  expect(decideEmail(error)).toStrictEqual({ type, message: `p: ${why}: ${error.message}`, ...flags });
  expect(ruleOf(error).fewerConnections).toBe(fewerConnections);
});

test('a provider of your own may give a reply without its command', () => {
  expect(decideEmail(errorOf('no', { responseCode: 550 }))).toMatchObject({ type: 'permanent' });
  expect(decideEmail(errorOf('550 5.7.1 Authentication required', { responseCode: 550 }))).toMatchObject({
    type: 'operator',
  });
});

test('a row may be of one provider alone', () => {
  expect([by('p')(errorOf('no', {})), by('postmark')(errorOf('no', {}))]).toEqual([true, false]);
});

test.each([
  ['5.4.5', '5.4.5', true],
  ['4.4.5', '5.4.5', false],
  ['5.2.2', '.2.2', true],
  ['4.2.2', '.2.2', true],
  ['5.2.22', '.2.2', false],
  ['5.2.22', '.2.', true],
  ['5.22.2', '.2.', false],
] as const)('the enhanced code %s is meant by %s: %s', (enhancedCode, code, is) => {
  expect(enhanced(code)(errorOf('no', { enhancedCode }))).toBe(is);
});

test('words count within the first 2,000 characters of a reply', () => {
  const said = (before: number): string => `421 ${'x'.repeat(before - 4)} thread limit exceeded`;
  expect(ruleOf(replyTo('CONN', said(1_978))).fewerConnections).toBe(true);
  expect(ruleOf(replyTo('CONN', said(1_979))).fewerConnections).toBeUndefined();
});

test.each(['ETLS', 'EREQUIRETLS', 'HOSTNAME_MISMATCH', 'INVALID_CA', 'CERT_REVOKED', 'ERR_TLS_X'])(
  '%s is about a certificate or encryption, and codes that contain it are not',
  (code) => {
    expect(isCertificateCode(code)).toBe(true);
    expect(isCertificateCode(`X_${code}`)).toBe(false);
    if (!code.includes('CERT') && !code.startsWith('ERR')) expect(isCertificateCode(`${code}S`)).toBe(false);
  },
);

test('no code is about a certificate', () => expect(isCertificateCode(undefined)).toBe(false));

/** The same meaning in the words of several servers. */
const words: readonly [why: string, command: string, reply: string, texts: readonly string[]][] = [
  [
    tooMany,
    'CONN',
    '421',
    [
      'too many connections',
      'Too many connection attempts',
      'too many sessions',
      'too many session',
      'too many concurrent SMTP connections',
      'too many open active sessions',
      'concurrent connections',
      'concurrent connection limit',
      'concurrent SMTP sessions',
      'concurrent session',
      'connection rate limit',
      'connection count limit',
      'thread limit exceeded',
    ],
  ],
  [
    name,
    'RCPT TO',
    '504',
    [
      'Helo command rejected',
      'EHLO denied',
      'HELO was not allowed',
      'invalid HELO',
      'need fully-qualified hostname',
      'need fully qualified domain name',
    ],
  ],
  [
    quota,
    'DATA',
    '550',
    [
      '5.4.5 no',
      '5.1.90 no',
      '5.7.233 no',
      '5.7.1 Email quota exceeded.',
      'Domain shop.test has exceeded the max emails per hour (150/150 (100%)) allowed. Message discarded.',
      'Domain shop.test has exceeded the max defers and failures per hour (5/5 (100%)) allowed.',
      'STOREDRV.Submission.Exception:QuotaExceeded',
      'STOREDRV.Submission.Exception:SubmissionQuotaExceeded',
      'Daily user sending limit',
      'hourly limit',
      'monthly credit',
      'monthly credits',
      'outgoing message quota',
      'submission limit',
      'quota exceeded for this account',
      'limit has been reached for today',
      'the credit was used up this month',
      'credits exhausted, account 7',
      'maximum credits exceeded',
    ],
  ],
  [
    closedAccount,
    'DATA',
    '554',
    [
      '5.1.8 no',
      '5.7.13 no',
      '5.7.708 no',
      'sending suspended for this account',
      'sending has been paused for your account',
      'your account suspended',
      'your account is currently blocked',
      'the smtp account has been temporarily locked',
      'this account may not send',
      'account is not allowed to send',
      'account not permitted to send',
      'domain shop.test is not allowed to send',
      'mail sending denied',
      "Access denied: User `arn:aws:iam::1:user/smtp' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:eu-west-1:1:identity/shop.test'",
      '5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message WASCL UserAction verdict is RefuseQuota',
      '5.4.6 Unusual sending activity detected. Learn more.',
      '5.7.0 Your SMTP account is not yet activated',
      'Please activate your Mailgun account.',
      'Outgoing mail from "shop.test" has been suspended.',
      '5.7.750 Service unavailable. Client blocked from sending from unregistered domains',
    ],
  ],
  [
    wrongSender,
    'MAIL FROM',
    '550',
    [
      'not verified',
      'not yet verified',
      'no verified sender',
      'may not send as this sender',
      'may not send as the sender',
      'SendAsDenied',
      'not allowed to send as c@b.test',
      'not owned by user me',
    ],
  ],
  [
    noRelay,
    'RCPT TO',
    '550',
    [
      '5.7.54 no',
      '5.7.64 no',
      'relay denied',
      'relaying denied',
      'relay access denied',
      'relay not permitted',
      'relay not authorized',
      'relay not authorised',
      'relaying prohibited',
      'unable to relay',
      'not allowed to relay',
      'not authorized to relay',
      'not authorised to relay',
      'we do not relay',
      'this host does not relay',
      "we don't relay",
      'invalid credentials for relay',
    ],
  ],
  [
    noTls,
    'MAIL FROM',
    '530',
    ['STARTTLS first', 'TLS required', 'TLS is required', 'encryption required', 'encryption is required'],
  ],
  [
    noLogin,
    'MAIL FROM',
    '553',
    [
      '5.7.57 no',
      'auth required',
      'authentication is required',
      'authenticate first',
      'authentication needed',
      'you must authenticate',
      'please first login',
      'you have to log in',
      'client was not authenticated',
      'you have not been authenticated',
      'not logged in',
      'Unauthenticated senders not allowed',
      '5.7.30 Basic authentication is not supported for Client Submission.',
      'basic auth is disabled',
    ],
  ],
  [
    noHost,
    'RCPT TO',
    '554',
    [
      'client host rejected',
      'client host [192.0.2.1] blocked',
      'banned IP',
      'blocked sending IP',
      'your IP is bad',
      'your IP address is bad',
      'IP 192.0.2.1 is blocked',
      'IP address 192.0.2.1 was listed',
      'IP has been banned',
      'IP 192.0.2.1 is not authorized',
      'IP 192.0.2.1 is not authorised',
      "the IP you're using",
      'unauthorized IP',
      'unauthorised IP',
      "messages from [192.0.2.1] weren't sent",
    ],
  ],
];

describe.each(words)('%s: in words', (why, command, reply, texts) => {
  it.each(texts)('%s', (text) => {
    expect(ruleOf(replyTo(command, `${reply} ${text}`)).why).toBe(why);
  });
});

const answers: readonly [why: string, texts: readonly string[]][] = [
  [
    noKey,
    [
      'API key invalid',
      'The API key is not valid',
      'API key has been revoked',
      'API key was deleted',
      'Missing API key',
      'unknown API key',
    ],
  ],
  [
    closedAccount,
    [
      'account suspended',
      'team is currently under review',
      'organisation has been disabled',
      'organization was paused',
      'plan temporarily blocked',
    ],
  ],
  [quota, ['daily quota', 'monthly email sending quota', 'email credits', 'sending quota']],
  [
    "the provider does not accept the message's sender",
    [
      'not authorised to send from b.test',
      'not authorized to send mail from b.test',
      'not allowed to send email from b.test',
      'not permitted to send emails from b.test',
      'not permitted to send mails from b.test',
    ],
  ],
];

describe.each(answers)('%s: in words of an HTTP answer', (why, texts) => {
  it.each(texts)('%s', (text) => {
    expect(ruleOf(http(403, text)).why).toBe(why);
    expect(ruleOf(http(500, text)).why).toBe('the provider fails at present'); // words of a 5xx say nothing
  });
});

test.each([
  [
    'MAIL FROM',
    '550 authentication required by the DMARC policy of b.test',
    'the server refuses the message',
  ],
  ['RCPT TO', '452 4.2.2 the daily quota of the recipient', 'the server asks to try again'],
  ['DATA', '552 5.3.4 larger than the daily limit', 'the server refuses the message'],
] as const)('%s: %s: %s', (command, said, why) => {
  expect(ruleOf(replyTo(command, said)).why).toBe(why);
});
