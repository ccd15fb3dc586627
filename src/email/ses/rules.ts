// The rules for Amazon SES's refusals, matched by the type of the error. SES may throw the types that all services of AWS share.

import { all, any, code, rulesOf, says, statuses, type Row } from '../rule.ts';

const sendEmail = 'docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html';
const common = 'docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html';
const quotas = 'docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html';
const sendingErrors = 'docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html';

const refusals: readonly Row[] = [
  {
    when: '"Daily message quota exceeded", `LimitExceededException`',
    type: 'operator',
    why: "the provider's quota is used up",
    source: quotas,
    fits: all(statuses(4), any(says(/\bdaily message quota exceeded\b/i), code('LimitExceededException'))),
  },
  {
    when: '`TooManyRequestsException`, `ThrottlingException`, "Maximum sending rate exceeded"',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
    source: `${sendEmail}; ${quotas}`,
    fits: any(
      code('TooManyRequestsException', 'ThrottlingException', 'Throttling'),
      all(statuses(4), says(/\bmaximum sending rate exceeded\b/i)),
    ),
  },
  {
    when: '`AccountSuspendedException`, `SendingPausedException`, or a 4xx "Sending paused for this account"',
    type: 'operator',
    why: 'the provider has closed our account',
    source: sendEmail,
    fits: any(
      code('AccountSuspendedException', 'SendingPausedException'),
      all(statuses(4), says(/\bsending (?:is )?(?:paused|suspended|disabled) for (?:this|your) account\b/i)),
    ),
  },
  {
    when: '`MailFromDomainNotVerifiedException`: the MX record of the MAIL FROM domain cannot be read',
    type: 'operator',
    maybeOwn: true,
    why: "the provider cannot read the records of the sender's domain",
    source: 'docs.aws.amazon.com/ses/latest/APIReference/API_SendRawEmail.html',
    fits: code('MailFromDomainNotVerifiedException'),
  },
  {
    when: '`MessageRejected` "Email address is not verified" (in the sandbox the recipients too)',
    type: 'permanent',
    why: "the provider does not accept the message's sender",
    source: sendingErrors,
    fits: all(code('MessageRejected'), says(/\bnot verified\b/i)),
  },
  {
    when: '`MessageRejected` otherwise, `BadRequestException`, `ValidationError`, `RequestEntityTooLargeException`',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: `${sendEmail}; ${common}`,
    fits: code('MessageRejected', 'BadRequestException', 'ValidationError', 'RequestEntityTooLargeException'),
  },
  {
    when: '`NotFoundException`: the configuration set does not exist (SES_CONFIGURATION_SET)',
    type: 'operator',
    why: 'the provider does not know our configuration set',
    source: sendEmail,
    fits: code('NotFoundException'),
  },
  {
    when: '`RequestExpired`, or a signature that "expired" or is "not yet current"',
    type: 'operator',
    why: "our clock and the provider's differ by minutes",
    source: common,
    fits: any(code('RequestExpired'), all(statuses(4), says(/\bsignature (?:expired|not yet current)\b/i))),
  },
  {
    when: '`AccessDeniedException`: the policy of the key does not allow it',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider does not accept our key',
    source: common,
    fits: code('AccessDeniedException', 'AccessDenied'),
  },
  {
    when: '`UnrecognizedClientException`, `InvalidSignatureException`, `ExpiredTokenException`, `IncompleteSignature`, `NotAuthorized`, `OptInRequired` and the like',
    type: 'operator',
    why: 'the provider does not accept our key',
    source: common,
    fits: code(
      'UnrecognizedClientException',
      'InvalidClientTokenId',
      'InvalidSignatureException',
      'SignatureDoesNotMatch',
      'IncompleteSignature',
      'IncompleteSignatureException',
      'MissingAuthenticationToken',
      'MissingAuthenticationTokenException',
      'ExpiredToken',
      'ExpiredTokenException',
      'NotAuthorized',
      'OptInRequired',
    ),
  },
  {
    when: '`UnknownOperationException`, `MalformedHttpRequestException`',
    type: 'operator',
    why: "the provider's address does not take emails",
    source: common,
    fits: code('UnknownOperationException', 'MalformedHttpRequestException'),
  },
  {
    when: '`RequestTimeoutException`',
    type: 'transient',
    why: 'the provider fails at present',
    source: common,
    fits: code('RequestTimeoutException'),
  },
  {
    when: '`RequestAbortedException`',
    type: 'transient',
    maybeTaken: true,
    why: 'the provider fails at present',
    source: common,
    fits: code('RequestAbortedException'),
  },
];

export const sesRules = rulesOf('ses', 'Amazon SES', refusals);
