// What a failed handover says beside its rule (decide.ts): whether the provider may have the email all the same, and whether the provider itself is
// away. Both matter where another provider may send it instead.

import { ruleOf } from './decide.ts';
import type { EmailError } from './error.ts';

/** Certainly the provider has not accepted the email. After 408, 409 and 425 an earlier request for it may be under way. */
export function isUntaken(error: EmailError): boolean {
  const { phase, status = 0 } = error;
  if (phase !== 'answered') return phase === 'connect';
  return !ruleOf(error).maybeTaken && ![408, 409, 425].includes(status);
}

/** Not this email, but the provider is at fault: it could not be reached, did not answer, or says that it fails. */
export function isAway(error: EmailError): boolean {
  const { phase, status, responseCode } = error;
  if (phase !== 'answered') return true;
  if (status === undefined) return responseCode === 421 || responseCode === 454;
  return status >= 500 || ruleOf(error).notTheirs === true;
}
