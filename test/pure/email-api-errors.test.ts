// Every error that Postmark, SendGrid, Amazon SES and Mailgun document for sending, from the answer to the decision, without a network.

import { describe, expect, test } from 'vitest';
import type { Answer, Told } from '../../src/email/api/answer.ts';
import { isAway, isUntaken } from '../../src/email/certainty.ts';
import { decideEmail, ruleOf } from '../../src/email/decide.ts';
import { EmailError } from '../../src/email/error.ts';
import { mailgunRefusal } from '../../src/email/mailgun/mailgun.ts';
import { postmarkRefusal } from '../../src/email/postmark/postmark.ts';
import { resendRefusal } from '../../src/email/resend/answer.ts';
import { sendgridRefusal } from '../../src/email/sendgrid/sendgrid.ts';
import { sesRefusal } from '../../src/email/ses/ses.ts';
import type { Failure } from '../../src/message/outcome.ts';

type Decision = readonly [type: Failure['type'], more?: Partial<Failure>];

function decide(provider: string, told: Told): Partial<Failure> {
  const { message: _, ...failure } = decideEmail(new EmailError(told.message, { ...told, provider }));
  return failure;
}

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: new Headers({ date: 'Thu, 01 Jan 2026 00:00:00 GMT', ...headers }),
  text: typeof body === 'string' ? body : JSON.stringify(body),
});

const held = { holdsQueue: true } as const;
const own = { maybeOwn: true } as const;
const doubtful = { ambiguous: true } as const;

/** postmarkapp.com/developer/api/overview#error-codes: those of sending, and the older ones of its libraries. */
const postmark: readonly [status: number, code: number | null, ...Decision][] = [
  [401, 10, 'operator'],
  [401, null, 'operator'],
  [404, null, 'operator'],
  [413, null, 'transient'],
  [415, null, 'operator', own],
  [429, null, 'transient', held],
  [500, null, 'transient', doubtful],
  [500, 101, 'transient', doubtful],
  [503, 100, 'transient', doubtful],
  [500, 405, 'transient', doubtful],
  [422, 100, 'transient'],
  [503, null, 'transient', doubtful],
  [422, 11, 'permanent'],
  [404, 12, 'operator'],
  [422, 13, 'permanent'],
  [422, 14, 'permanent'],
  [422, 300, 'permanent'],
  [422, 400, 'permanent'],
  [422, 401, 'permanent'],
  [422, 402, 'permanent'],
  [422, 403, 'permanent'],
  [422, 405, 'operator'],
  [422, 406, 'permanent', { recipient: true }],
  [422, 409, 'permanent'],
  [422, 410, 'permanent'],
  [422, 411, 'permanent'],
  [422, 412, 'operator', own],
  [422, 413, 'operator'],
  [422, 422, 'operator'],
  [429, 429, 'transient', held],
  [422, 1235, 'operator', own],
  [422, 1236, 'operator', own],
  [422, 1480, 'operator'],
];

test.each(postmark)('Postmark: HTTP %i, ErrorCode %s: %s', (status, ErrorCode, type, more = {}) => {
  const body = ErrorCode === null ? '' : { ErrorCode, Message: 'said because of it' };
  expect(decide('postmark', postmarkRefusal(answer(status, body)))).toEqual({ type, ...more });
});

/** twilio.com/docs/sendgrid/api-reference: the statuses, and the texts that its support page lists. */
const sendgrid: readonly [status: number, message: string, ...Decision][] = [
  [400, 'You must have at least one personalization.', 'permanent'],
  [400, 'There is a limit of 1000 total recipients (to + cc + bcc) per request.', 'permanent'],
  [400, 'The from email does not contain a valid address.', 'permanent'],
  [400, 'The subject is required. You can get around this requirement if you use a template', 'permanent'],
  [400, 'The content value must be a string at least one character in length.', 'permanent'],
  [400, 'The content type cannot contain \u2018;\u2019, or CRLF', 'permanent'],
  [400, 'The attachment content must be base64 encoded.', 'permanent'],
  [400, 'Bad Request', 'permanent'],
  [401, 'The provided authorization grant is invalid, expired, or revoked', 'operator'],
  [401, 'Maximum credits exceeded', 'operator'],
  [401, 'Authenticated user is not authorized to send mail', 'operator'],
  [401, 'Permission denied, wrong credentials', 'operator'],
  [403, 'access forbidden', 'operator'],
  [
    403,
    'The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.',
    'permanent',
  ],
  [403, 'too many bad requests', 'operator', own],
  [403, 'Your account has been suspended', 'operator', own],
  [404, 'not found', 'operator'],
  [405, 'method not allowed', 'operator'],
  [406, 'missing Accept header', 'operator', own],
  [413, 'payload too large', 'permanent'],
  [415, 'unsupported media type', 'operator', own],
  [429, 'too many requests', 'transient', held],
  [451, 'unavailable due to data residency restrictions', 'operator'],
  [500, 'internal server error', 'transient', doubtful],
  [502, 'bad gateway', 'transient', doubtful],
  [503, 'service not available', 'transient', doubtful],
  [504, 'gateway timeout', 'transient', doubtful],
];

test.each(sendgrid)('SendGrid: HTTP %i %s: %s', (status, message, type, more = {}) => {
  const body = { errors: [{ message, field: null, help: null }] };
  expect(decide('sendgrid', sendgridRefusal(answer(status, body)))).toEqual({ type, ...more });
});

/** API_SendEmail.html and CommonErrors.html of docs.aws.amazon.com/ses/latest/APIReference-V2, and two texts of the developer guide. */
const ses: readonly [status: number, code: string, message: string, ...Decision][] = [
  [400, 'AccountSuspendedException', 'permanently restricted', 'operator'],
  [400, 'BadRequestException', 'The input you provided is invalid.', 'permanent'],
  [400, 'LimitExceededException', 'too many instances', 'operator'],
  [400, 'MailFromDomainNotVerifiedException', 'not verified', 'operator', own],
  [400, 'MessageRejected', 'Sending paused for this account. For more information, see …', 'operator'],
  [400, 'MessageRejected', 'Sending suspended for this account.', 'operator'],
  [400, 'MessageRejected', 'Email address is not verified. The following identities failed', 'permanent'],
  [400, 'MessageRejected', 'invalid content', 'permanent'],
  [404, 'NotFoundException', 'Configuration set <a> does not exist.', 'operator'],
  [400, 'SendingPausedException', 'Sending paused for this account.', 'operator'],
  [429, 'TooManyRequestsException', 'Maximum sending rate exceeded.', 'transient', held],
  [429, 'TooManyRequestsException', 'Daily message quota exceeded.', 'operator'],
  [400, 'ThrottlingException', 'Rate exceeded', 'transient', held],
  [403, 'AccessDeniedException', 'is not authorized to perform: ses:SendEmail', 'operator', own],
  [403, 'ExpiredTokenException', 'is expired', 'operator'],
  [403, 'IncompleteSignature', 'does not conform', 'operator'],
  [500, 'InternalFailure', 'unknown error', 'transient', doubtful],
  [400, 'MalformedHttpRequestException', 'problems at the HTTP level', 'operator'],
  [401, 'NotAuthorized', 'no permission', 'operator'],
  [403, 'OptInRequired', 'needs a subscription', 'operator'],
  [400, 'RequestAbortedException', 'aborted before a reply', 'transient', doubtful],
  [413, 'RequestEntityTooLargeException', 'too large', 'permanent'],
  [400, 'RequestExpired', 'more than 15 minutes after', 'operator'],
  [408, 'RequestTimeoutException', 'timed out', 'transient'],
  [503, 'ServiceUnavailable', 'temporary failure', 'transient', doubtful],
  [500, 'ThrottlingException', 'Rate exceeded', 'transient', doubtful],
  [503, 'RequestTimeoutException', 'timed out', 'transient', doubtful],
  [500, 'MessageRejected', 'invalid content', 'transient', doubtful],
  [403, 'UnrecognizedClientException', 'does not exist in our records', 'operator'],
  [404, 'UnknownOperationException', 'not valid', 'operator'],
  [400, 'ValidationError', 'fails to satisfy the constraints', 'permanent'],
  [403, 'InvalidClientTokenId', 'is invalid', 'operator'],
  [403, 'SignatureDoesNotMatch', 'does not match', 'operator'],
  [403, 'InvalidSignatureException', 'Signature expired: 20260101T000000Z is now earlier than', 'operator'],
  [403, 'InvalidSignatureException', 'Signature not yet current', 'operator'],
  [403, 'MissingAuthenticationTokenException', 'Missing Authentication Token', 'operator'],
];

describe('Amazon SES', () => {
  test.each(ses)('HTTP %i %s: %s: %s', (status, code, message, type, more = {}) => {
    const inHead = answer(status, { message }, { 'x-amzn-errortype': `${code}:http://internal.amazon.com/` });
    const inBody = answer(status, { __type: `com.amazonaws.sesv2#${code}`, Message: message });
    for (const one of [inHead, inBody]) {
      expect(sesRefusal(one)).toMatchObject({ code, message: `HTTP ${status} ${code}: ${message}` });
      expect(decide('ses', sesRefusal(one))).toEqual({ type, ...more });
    }
  });

  test('a clock that is wrong is named', () => {
    const said = { message: 'Signature expired: 20260101T000000Z', phase: 'answered', status: 403 } as const;
    const facts = { ...said, provider: 'ses', code: 'InvalidSignatureException' };
    expect(ruleOf(new EmailError(said.message, facts)).why).toMatch(/clock/);
  });
});

/** The statuses of documentation.mailgun.com, and Mailgun's texts for them. */
const mailgun: readonly [status: number, message: string, ...Decision][] = [
  [400, 'from parameter is missing', 'permanent'],
  [400, 'to parameter is missing', 'permanent'],
  [400, 'message parameter is missing', 'permanent'],
  [400, "'message' parameter is not a file", 'permanent'],
  [400, 'Send options (parameters starting with o:, h:, or v:) are limited to 16 kB total', 'permanent'],
  [400, 'Too many recipients; max is 1000', 'permanent'],
  [400, 'to parameter is not a valid address. please check documentation', 'permanent', { recipient: true }],
  [400, 'from parameter is not a valid address. please check documentation', 'permanent'],
  [400, 'malformed multipart/form-data request', 'permanent'],
  [
    400,
    'Domain b.test is not allowed to send: Sandbox subdomains are for test purposes only.',
    'operator',
    own,
  ],
  [400, 'Domain b.test is not allowed to send: Free accounts are for test purposes only.', 'operator', own],
  [
    400,
    'Domain b.test is not allowed to send: The domain is unverified and requires DNS configuration.',
    'operator',
    own,
  ],
  [400, 'Domain b.test is not allowed to send: Please activate your Mailgun account.', 'operator', own],
  [401, 'Forbidden', 'operator'],
  [402, 'Request failed', 'operator', own],
  [403, 'Domain b.test is not allowed to send large batches yet', 'operator', own],
  [403, "Rejected: IP 192.0.2.1 can't be used to send the message", 'operator'],
  [403, 'access denied', 'operator', own],
  [404, 'Domain not found: b.test', 'operator'],
  [413, 'request size exceeds 52.4MiB limit', 'permanent'],
  [
    429,
    'Domain b.test is not allowed to send: request limit exceeded, try again after Thu, 01 Jan 2026 00:00:21 UTC',
    'transient',
    { ...held, retryAfter: 21_000 },
  ],
  [
    429,
    'Domain b.test is not allowed to send: bytes limit exceeded, try again after a while',
    'transient',
    held,
  ],
  [500, 'Internal Server Error', 'transient', doubtful],
  [502, 'Bad Gateway', 'transient', doubtful],
  [503, 'Service Unavailable', 'transient', doubtful],
  [504, 'Gateway Timeout', 'transient', doubtful],
];

test.each(mailgun)('Mailgun: HTTP %i %s: %s', (status, message, type, more = {}) => {
  expect(decide('mailgun', mailgunRefusal(answer(status, { message })))).toEqual({ type, ...more });
});

test('Mailgun answers a wrong key with a bare word', () => {
  const told = mailgunRefusal(answer(401, 'Forbidden', { 'content-type': 'text/plain' }));
  expect(told.message).toBe('HTTP 401 Forbidden');
  expect(mailgunRefusal(answer(502, '<html>\n<body>')).message).toBe(
    'HTTP 502 without a reason that can be read',
  );
});

describe('how long the queue is held', () => {
  const headers = { 'retry-after': '7' };

  test('Retry-After, where a provider sends it', () => {
    for (const refusal of [postmarkRefusal, sendgridRefusal, sesRefusal, mailgunRefusal])
      expect(refusal(answer(429, '{}', headers)).retryAfter).toBe(7_000);
  });

  test("SendGrid's reset, in seconds since 1970, by its own clock", () => {
    const reset = Date.parse('2026-01-01T00:00:30Z') / 1_000;
    const wait = (value: string) =>
      sendgridRefusal(answer(429, {}, { 'x-ratelimit-reset': value })).retryAfter;
    expect([wait(String(reset)), wait(String(reset - 60)), wait('soon'), wait('-1')]).toEqual([
      30_000,
      0,
      undefined,
      undefined,
    ]);
  });
});

test('bodies of other forms are not taken for the answer of the provider', () => {
  for (const body of ['<p>', '', '[]', '7', '{"ErrorCode":"x","errors":7,"message":7,"__type":7}']) {
    const refusals = [postmarkRefusal, sendgridRefusal, sesRefusal].map((refusal) =>
      refusal(answer(400, body)),
    );
    for (const told of refusals) expect(told).toMatchObject({ status: 400, code: 'EANSWER' });
  }
});

describe.each([
  ['postmark', postmarkRefusal],
  ['sendgrid', sendgridRefusal],
  ['ses', sesRefusal],
  ['mailgun', mailgunRefusal],
  ['resend', resendRefusal],
])('%s: an answer of something in front of it', (provider, refusal) => {
  const errorOf = (status: number) => {
    const told = refusal(answer(status, '<html><h1>Bad Request</h1></html>'));
    return new EmailError(told.message, { ...told, provider });
  };

  test.each([400, 411, 413, 414, 421, 422, 431])('HTTP %i: retried, and the next provider may send it', (status) => {
    const error = errorOf(status);
    expect(decideEmail(error)).toMatchObject({ type: 'transient' });
    expect([isUntaken(error), isAway(error)]).toEqual([true, true]);
  }); // prettier-ignore

  test.each([408, 409, 425, 500, 502, 503])('HTTP %i: no other provider sends it', (status) => {
    const error = errorOf(status);
    expect([decideEmail(error).type, isUntaken(error)]).toEqual(['transient', false]);
  });

  test.each([401, 403, 404, 405])('HTTP %i stays a matter of the operator', (status) => {
    expect([decideEmail(errorOf(status)).type, isAway(errorOf(status))]).toEqual(['operator', false]);
  });
});

test('a bare line without JSON refuses no message at Mailgun', () => {
  expect(decide('mailgun', mailgunRefusal(answer(400, 'Bad Request')))).toEqual({ type: 'transient' });
});

test('the codes of one provider mean nothing in the answers of another', () => {
  const facts = { phase: 'answered', status: 422, code: '406' } as const;
  expect(ruleOf(new EmailError('no', { provider: 'postmark', ...facts })).recipient).toBe(true);
  expect(ruleOf(new EmailError('no', { provider: 'post', ...facts })).recipient).toBeUndefined();
});
