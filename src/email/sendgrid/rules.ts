// The rules for SendGrid's refusals. Its errors have no codes, so those that concern the account are matched by their texts.

import { all, rulesOf, says, status, statuses, type Row } from '../rule.ts';

const apiErrors = 'twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/errors';
const refusalsOfKeys = 'support.sendgrid.com/hc/en-us/articles/18322114821403';

const refusals: readonly Row[] = [
  {
    when: '401 "Maximum credits exceeded", or another 4xx that says so',
    type: 'operator',
    why: "the provider's quota is used up",
    source: refusalsOfKeys,
    fits: all(
      statuses(4),
      says(/\bmaximum credits exceeded\b|\bsending limit (?:is |has been )?exceeded\b/i),
    ),
  },
  {
    when: '403 "The from address does not match a verified Sender Identity"',
    type: 'permanent',
    why: "the provider does not accept the message's sender",
    source: 'twilio.com/docs/api/errors/60222',
    fits: all(statuses(4), says(/\bverified sender identity\b/i)),
  },
  {
    when: '401, 403 "authorization grant is invalid, expired, or revoked", "not authorized", "access forbidden", "Permission denied"',
    type: 'operator',
    why: 'the provider does not accept our key',
    source: refusalsOfKeys,
    fits: all(
      status(401, 403),
      says(/\bauthorization grant\b|\bnot authorized\b|\baccess forbidden\b|\bpermission denied\b/i),
    ),
  },
  {
    when: '403 otherwise: too many bad requests, a temporary block',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider does not accept our requests at present',
    source: apiErrors,
    fits: status(403),
  },
  {
    when: '429',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
    source: 'twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits',
    fits: status(429),
  },
  {
    when: '451: the data of the account stays in another region (SENDGRID_BASE_URL)',
    type: 'operator',
    why: "the provider's address is of another region",
    source: apiErrors,
    fits: status(451),
  },
  {
    when: '400 that names a recipient, such as `personalizations.0.to.0.email`',
    type: 'permanent',
    oneRecipient: true,
    why: 'the provider does not send to this recipient',
    source: 'twilio.com/docs/sendgrid/api-reference/mail-send/errors',
    fits: all(status(400), says(/\bpersonalizations\.\d{1,4}\.(?:to|cc|bcc)\.\d/)),
  },
  {
    when: '400 otherwise, 413: a field is not valid, or the email is too large',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: 'twilio.com/docs/sendgrid/api-reference/mail-send/errors',
    fits: status(400, 413),
  },
];

export const sendgridRules = rulesOf('sendgrid', 'SendGrid', refusals);
