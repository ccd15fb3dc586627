// Why a provider did not accept a mail, as facts; decide.ts makes a decision of them.

/** How far it came. After `sent` nobody knows whether the mail was accepted until an answer comes. */
export type Phase = 'connect' | 'sent' | 'answered';

export type EmailFacts = {
  readonly provider: string;
  readonly phase: Phase;
  /** Of Node or nodemailer: ECONNREFUSED, EAUTH, … */
  readonly code?: string | undefined;
  /** The three digits of an SMTP reply. */
  readonly responseCode?: number | undefined;
};

export class EmailError extends Error {
  override readonly name = 'EmailError';
  readonly facts: EmailFacts;
  constructor(message: string, facts: EmailFacts, options?: ErrorOptions) {
    super(message, options);
    this.facts = facts;
  }
}
