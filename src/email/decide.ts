// What an email error means: one table, read from the top, the first row that fits. Nothing else in the project judges replies of servers.
// docs/email.md shows it to users, and a test holds the two together.

import type { Failure } from '../message/outcome.ts';
import type { EmailError } from './error.ts';
import { httpRules } from './http-rules.ts';
import type { Rule } from './rule.ts';
import { smtpRules } from './smtp-rules.ts';

/** In their order. */
export const decisions: readonly Rule[] = [...httpRules, ...smtpRules];

/** Total: every error has a row. */
export function ruleOf(error: EmailError): Rule {
  return decisions.find(({ fits }) => fits(error))!;
}

/** The text may hold addresses and whatever the server said; failureOf cleans it. */
export function decideEmail(error: EmailError): Failure {
  const { type, why, holdsQueue, maybeOwn, recipient } = ruleOf(error);
  const { retryAfter } = error;
  return {
    type,
    message: `${error.provider}: ${why}: ${error.message}`,
    ...(retryAfter !== undefined && type === 'transient' && { retryAfter }),
    ...(holdsQueue && { holdsQueue }),
    ...(maybeOwn && { maybeOwn }),
    ...(recipient && { recipient }),
    ...(error.phase === 'sent' && { ambiguous: true }),
  };
}
