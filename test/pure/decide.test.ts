// A test for each line of the table that says what an email error means.

import { expect, test } from 'vitest';
import { decideEmail } from '../../src/email/decide.ts';
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
  expect(failure.ambiguous).toBeUndefined();
});

test.each(['ECONNECTION', 'ECONNRESET', 'ETIMEDOUT', 'EABORT'])(
  'lost after the message (%s): transient and ambiguous',
  (code) => {
    expect(decide({ phase: 'sent', code })).toMatchObject({ type: 'transient', ambiguous: true });
  },
);

test('429 holds the whole queue for as long as the provider says, and nothing else does', () => {
  expect(decide({ status: 429, retryAfter: 7_000 })).toMatchObject({ holdsQueue: true, retryAfter: 7_000 });
  expect(decide({ status: 503, retryAfter: 7_000 })).toMatchObject({ retryAfter: 7_000 });
  expect(decide({ status: 503, retryAfter: 7_000 }).holdsQueue).toBeUndefined();
  expect(decide({ status: 401, retryAfter: 7_000 }).retryAfter).toBeUndefined();
});
