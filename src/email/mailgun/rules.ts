// The rules for Mailgun's refusals. Its errors have no codes, so those that concern the account are matched by their texts.

import { all, rulesOf, says, status, statuses, type Row } from '../rule.ts';

const responses = 'documentation.mailgun.com/docs/mailgun/api-reference/api-overview';
/** Mailgun's own pages name the statuses; this list has its texts. */
const texts = 'help.audatemedia.com/en/articles/11074543-error-codes-library-mailgun';

const refusals: readonly Row[] = [
  {
    when: '429, such as "request limit exceeded, try again after …"',
    type: 'transient',
    holdsQueue: true,
    why: 'the provider wants fewer requests',
    source: responses,
    fits: status(429),
  },
  {
    when: '401',
    type: 'operator',
    why: 'the provider does not accept our key',
    source: responses,
    fits: status(401),
  },
  {
    when: '"Domain … is not allowed to send": a domain without DNS records, an account that is not activated, a sandbox or a free account',
    type: 'operator',
    maybeOwn: true,
    why: 'the provider has closed our account',
    source: texts,
    fits: all(statuses(4), says(/\bis not allowed to send\b/i)),
  },
  {
    when: '403 "Rejected: IP … can\'t be used to send the message"',
    type: 'operator',
    why: 'the provider does not talk to our host',
    source: texts,
    fits: all(status(403), says(/\bcan.?t be used to send\b/i)),
  },
  {
    when: '404 "Domain not found": another MAILGUN_DOMAIN, or another region (MAILGUN_BASE_URL)',
    type: 'operator',
    why: 'the provider does not know our domain',
    source: texts,
    fits: all(status(404), says(/\bdomain not found\b/i)),
  },
  {
    when: '400 "to parameter is not a valid address"',
    type: 'permanent',
    recipient: true,
    why: 'the provider does not send to this recipient',
    source: texts,
    fits: all(status(400), says(/\bto parameter is not a valid address\b/i)),
  },
  {
    when: '400 otherwise, 413: a parameter is not valid, or the email is too large',
    type: 'permanent',
    why: 'the provider refuses the message',
    source: `${responses}; ${texts}`,
    fits: status(400, 413),
  },
];

export const mailgunRules = rulesOf('mailgun', 'Mailgun', refusals);
