// The rules for HTTP answers of every provider. Resend's are matched by name, because one status may concern one message or the
// whole account. Postmark, SendGrid, Amazon SES and Mailgun have rules of their own, which come first.

import { all, any, code, foreignAnswer, ruleFrom, says, status, statuses, type Row } from './rule.ts';

const resendErrors = 'resend.com/docs/api-reference/errors';
const rfc9110 = 'RFC 9110';

const refused = statuses(4);

/** "API key is invalid" comes with 400, 401 or 403, as `validation_error` as often as `invalid_api_key`. */
const ofTheKey = any(
  code('invalid_api_key', 'missing_api_key', 'restricted_api_key', 'suspended_api_key', 'inactive_api_key'),
  says(
    /\bAPI key (?:is |was |has been )?(?:invalid|not valid|missing|suspended|inactive|not active|disabled|revoked|expired|deleted|restricted)|\b(?:invalid|missing|unknown) API key\b/i,
  ),
);

const ofTheAccount = any(
  code('account_suspended', 'team_suspended', 'account_disabled', 'account_inactive', 'billing_error'),
  says(
    /\b(?:account|team|workspace|organi[sz]ation|plan|subscription) (?:is |was |has been )?(?:currently |temporarily )?(?:suspended|disabled|inactive|not active|deactivated|blocked|paused|restricted|expired|past due|under review)/i,
  ),
);

const ofTheQuota = any(
  code('daily_quota_exceeded', 'monthly_quota_exceeded'),
  says(/\b(?:daily|monthly|sending|email) (?:email )?(?:sending )?(?:quota|credits)\b/i),
);

const ofTheMessage = code(
  'validation_error',
  'invalid_from_address',
  'invalid_parameter',
  'invalid_attachment',
  'invalid_access',
  'invalid_region',
  'invalid_idempotency_key',
  'missing_required_field',
  'security_error',
);

const answers: readonly Omit<Row, 'stage'>[] = [
  {
    provider: 'Resend',
    when: '`daily_quota_exceeded`, `monthly_quota_exceeded`, or a 4xx that says so',
    type: 'operator',
    why: "the provider's quota is used up",
    source: resendErrors,
    fits: all(refused, ofTheQuota),
  },
  {
    provider: 'Resend',
    when: 'the key may not send from this domain',
    type: 'permanent',
    why: "the provider does not accept the message's sender",
    source: 'resend.com/docs/knowledge-base/403-error-domain-mismatch',
    fits: all(refused, says(/\bnot (?:authori[sz]ed|allowed|permitted) to send (?:e?mails? )?from\b/i)),
  },
  {
    provider: 'Resend',
    when: '`invalid_api_key`, `missing_api_key`, `restricted_api_key`, or a 4xx that says "API key is invalid"',
    type: 'operator',
    why: 'the provider does not accept our key',
    source: resendErrors,
    fits: all(refused, ofTheKey),
  },
  {
    provider: 'Resend',
    when: 'a 4xx that says that the account is suspended, disabled or under review',
    type: 'operator',
    why: 'the provider has closed our account',
    source: `${rfc9110}, 15.5.4`,
    fits: all(refused, ofTheAccount),
  },
  {
    when: '404, 405',
    type: 'operator',
    why: "the provider's address does not take emails",
    source: `${rfc9110}, 15.5.5`,
    fits: status(404, 405),
  },
  {
    when: '406, 415',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider does not understand our requests',
    source: `${rfc9110}, 15.5.16`,
    fits: status(406, 415),
  },
  {
    when: '3xx',
    type: 'operator',
    why: "the provider's address points elsewhere",
    source: `${rfc9110}, 15.4`,
    fits: statuses(3),
  },
  {
    provider: 'Resend',
    when: '`rate_limit_exceeded`, or 429',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
    source: resendErrors,
    fits: any(status(429), all(refused, code('rate_limit_exceeded'))),
  },
  // The key is the message's own, so Resend accepted an earlier attempt with other contents.
  {
    provider: 'Resend',
    when: '409 `invalid_idempotent_request`: the same key came with other contents',
    type: 'permanent',
    why: 'the provider took this message before, with other contents',
    source: resendErrors,
    fits: all(status(409), code('invalid_idempotent_request')),
  },
  {
    provider: 'Resend',
    when: '409 otherwise',
    type: 'transient',
    why: 'an earlier attempt is still under way at the provider',
    source: resendErrors,
    fits: status(409),
  },
  {
    when: '408, 425',
    type: 'transient',
    why: 'the provider asks to try again',
    source: `${rfc9110}, 15.5.9`,
    fits: status(408, 425),
  },
  {
    provider: 'Resend',
    when: '`invalid_to_address`, or a 4xx "Invalid `to` field"',
    type: 'permanent',
    oneRecipient: true,
    why: 'the provider does not send to this recipient',
    source: resendErrors,
    fits: all(refused, any(code('invalid_to_address'), says(/\binvalid [`']?(?:to|cc|bcc)[`']? field\b/i))),
  },
  {
    provider: 'Resend',
    when: '`validation_error`, `invalid_from_address` and the like, with 403 too: the domain of the sender is not verified',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: resendErrors,
    fits: all(refused, ofTheMessage),
  },
  {
    when: '401, 402, 403 otherwise',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider does not accept our key',
    source: `${rfc9110}, 15.5.2`,
    fits: status(401, 402, 403),
  },
  // nginx's 400 and 413, a firewall's block page: the request went no further, and another way may take the message.
  {
    when: "421, or another 4xx without a reason of the provider's (HTML, nothing)",
    type: 'transient',
    notTheirs: true,
    why: "something else than the provider's API answered",
    source: `${rfc9110}, 15.5.20`,
    fits: any(status(421), all(refused, code(foreignAnswer))),
  },
  {
    when: '4xx otherwise',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: `${rfc9110}, 15.5`,
    fits: refused,
  },
  {
    when: '5xx',
    type: 'transient',
    maybeTaken: true,
    why: 'the provider fails at present',
    source: `${rfc9110}, 15.6`,
    fits: statuses(5),
  },
  {
    when: "2xx with an answer that is none of the provider's (HTML, nothing)",
    type: 'transient',
    maybeTaken: true,
    notTheirs: true,
    why: "the provider's answer cannot be read",
    source: 'resend.com/docs/api-reference/emails/send-email',
    fits: code(foreignAnswer),
  },
];

export const httpRules = answers.map((row) => ruleFrom({ stage: 'HTTP', ...row }));
