// Decides what an email error means by the first matching rule of one table. No other code interprets replies of servers.
// docs/email.md and docs/email-apis.md show the table, and a test compares them with it.

import type { Failure } from '../message/outcome.ts';
import type { EmailError } from './error.ts';
import { httpRules } from './http-rules.ts';
import { mailgunRules } from './mailgun/rules.ts';
import { postmarkRules } from './postmark/rules.ts';
import type { Rule } from './rule.ts';
import { sendgridRules } from './sendgrid/rules.ts';
import { sesRules } from './ses/rules.ts';
import { smtpRules } from './smtp/rules.ts';

export const decisions: readonly Rule[] = [
  ...postmarkRules,
  ...sendgridRules,
  ...sesRules,
  ...mailgunRules,
  ...httpRules,
  ...smtpRules,
];

/** Every error has a rule: the last one matches all. */
export function ruleOf(error: EmailError): Rule {
  return decisions.find(({ fits }) => fits(error))!;
}

/** The message may hold addresses and the server's text; failureOf redacts it. */
export function decideEmail(error: EmailError): Failure {
  const { type, why, holdsQueue, maybeOwn, maybeTaken, recipient } = ruleOf(error);
  const { retryAfter } = error;
  return {
    type,
    message: `${error.provider}: ${why}: ${error.message}`,
    ...(retryAfter !== undefined && type === 'transient' && { retryAfter }),
    ...(holdsQueue && { holdsQueue }),
    ...(maybeOwn && { maybeOwn }),
    ...(recipient && { recipient }),
    ...((error.phase === 'sent' || maybeTaken) && { ambiguous: true }),
  };
}
