// The provider: where emails are handed over. Each says in one error form how far it got, so that one table can decide.

import type { EmailPayload } from './email.ts';

export type Receipt = {
  readonly accepted: readonly string[];
  /** Recipients refused while others were accepted. */
  readonly rejected: readonly { readonly address: string; readonly error: string }[];
  /** What the far side said. */
  readonly response: string;
};

export type EmailProvider = {
  readonly name: string;
  /**
   * Hands one email over.
   * @param about.messageId becomes the Message-ID, the same for every attempt, so that receivers can tell a repetition
   * @throws EmailError
   */
  send(
    email: EmailPayload,
    about: { readonly messageId: string; readonly signal: AbortSignal },
  ): Promise<Receipt>;
  /** Ends what is open; running sends fail. */
  close(): Promise<void>;
};

export type ProviderLog = {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
};
