// The email error: how far a handover got, and what stopped it. It holds facts only; decide.ts judges them.

import type { Milliseconds } from '../ports.ts';

/** `connect`: the message had not gone out. `sent`: all of it had, and no answer came. `answered`: the provider said no. */
export type Phase = 'connect' | 'sent' | 'answered';

export type EmailFacts = {
  readonly provider: string;
  readonly phase: Phase;
  /** Of Node (`ECONNREFUSED`), of nodemailer (`EAUTH`) or of the provider (`daily_quota_exceeded`); the more exact one. */
  readonly code?: string | undefined;
  /** Of the reply, such as 550. */
  readonly responseCode?: number | undefined;
  /** The enhanced status code of the reply, such as 5.7.1 (RFC 3463). Left out, it is read from the message where one stands after the reply's code. */
  readonly enhancedCode?: string | undefined;
  /** What was answered, such as `RCPT TO`. */
  readonly command?: string | undefined;
  /** Of the answer, for a provider that speaks HTTP. */
  readonly status?: number | undefined;
  /** When the provider wants to be asked again, in milliseconds. */
  readonly retryAfter?: Milliseconds | undefined;
};

export class EmailError extends Error {
  override readonly name = 'EmailError';
  readonly provider: string;
  readonly phase: Phase;
  readonly code: string | undefined;
  readonly responseCode: number | undefined;
  readonly enhancedCode: string | undefined;
  readonly command: string | undefined;
  readonly status: number | undefined;
  readonly retryAfter: Milliseconds | undefined;

  constructor(message: string, facts: EmailFacts, options?: ErrorOptions) {
    super(message, options);
    this.provider = facts.provider;
    this.phase = facts.phase;
    this.code = facts.code;
    this.responseCode = facts.responseCode;
    this.enhancedCode = facts.enhancedCode ?? enhancedCodeIn(message);
    this.command = facts.command;
    this.status = facts.status;
    this.retryAfter = facts.retryAfter;
  }
}

/** RFC 2034, section 4: it follows the reply's code. */
function enhancedCodeIn(message: string): string | undefined {
  return /\b[245]\d\d[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(message.slice(0, 2_000))?.[1];
}
