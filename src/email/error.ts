// EmailError holds the facts of a failed handover: how far it got and what stopped it. decide.ts decides what they mean.

import type { Milliseconds } from '../ports.ts';

/** `connect`: the message was not sent. `sent`: it was sent, and no answer came. `answered`: the provider refused it. */
export type Phase = 'connect' | 'sent' | 'answered';

/** What is known about a failed handover of an email. */
export type EmailFacts = {
  /** Name of the provider, such as `smtp`. */
  readonly provider: string;
  readonly phase: Phase;
  /** The most exact code: Node's (`ECONNREFUSED`), nodemailer's (`EAUTH`) or the provider's (`daily_quota_exceeded`). */
  readonly code?: string | undefined;
  /** The SMTP reply code, such as 550. */
  readonly responseCode?: number | undefined;
  /** The reply's enhanced status code, such as 5.7.1 (RFC 3463). Default: read from the message, after the reply code. */
  readonly enhancedCode?: string | undefined;
  /** The command that got the reply, such as `RCPT TO`. */
  readonly command?: string | undefined;
  /** The HTTP status, for a provider with an HTTP API. */
  readonly status?: number | undefined;
  /** The delay that the provider asked for, in milliseconds. */
  readonly retryAfter?: Milliseconds | undefined;
};

/** A failed handover of an email. A provider of your own throws it, with the facts that decide whether a retry can help. */
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

  /**
   * Throw it from a provider.
   * @param message what the provider answered, or what went wrong on the way to it
   */
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

/** The enhanced code follows the reply code (RFC 2034, section 4). */
function enhancedCodeIn(message: string): string | undefined {
  return /\b[245]\d\d[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(message.slice(0, 2_000))?.[1];
}
