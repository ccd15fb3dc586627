// The email error: how far a handover got, and what stopped it. It holds facts only; decide.ts judges them.

/** `connect`: the message had not gone out. `sent`: all of it had, and no answer came. `answered`: the far side said no. */
export type Phase = 'connect' | 'sent' | 'answered';

export type EmailFacts = {
  readonly provider: string;
  readonly phase: Phase;
  /** Of Node (`ECONNREFUSED`) or of nodemailer (`EAUTH`); the more exact one. */
  readonly code?: string | undefined;
  /** Of the reply, such as 550. */
  readonly responseCode?: number | undefined;
  /** What was answered, such as `RCPT TO`. */
  readonly command?: string | undefined;
};

export class EmailError extends Error {
  override readonly name = 'EmailError';
  readonly provider: string;
  readonly phase: Phase;
  readonly code: string | undefined;
  readonly responseCode: number | undefined;
  readonly command: string | undefined;

  constructor(message: string, facts: EmailFacts, options?: ErrorOptions) {
    super(message, options);
    this.provider = facts.provider;
    this.phase = facts.phase;
    this.code = facts.code;
    this.responseCode = facts.responseCode;
    this.command = facts.command;
  }
}
